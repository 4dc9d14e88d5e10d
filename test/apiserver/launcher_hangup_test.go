package apiserver

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/test/world"
)

// afterCreate calls a function when the API server has answered that it made a pod.
type afterCreate struct {
	http.RoundTripper

	then func()
}

func (a afterCreate) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := a.RoundTripper.RoundTrip(r)
	if err == nil && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pods") && answer.StatusCode == http.StatusCreated {
		a.then()
	}
	return answer, err
}

// A hub that is killed in the middle of a start may never ask again, and a pod without its Secret can't run.
func TestAPodWhoseCallerHungUpHasItsSecret(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	ctx, hangUp := context.WithCancel(t.Context())
	l := aLauncher(t, w, ns, func(c *launcher.Config) {
		c.Rest = rest.CopyConfig(c.Rest)
		c.Rest.Wrap(func(rt http.RoundTripper) http.RoundTripper { return afterCreate{rt, hangUp} })
	})
	_, _ = l.Start(ctx, aliceStarts("one")) // whoever asked has gone
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	requireOneServer(t, w, ns, "one")
}
