package apiserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// A start id makes the name of its Secret, and the Secret of a pod that is gone goes a moment later.
func TestTheSameStartOnceMoreDoesntTakeTheSecretOfItsLastPod(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	taken := make(chan struct{}, 100)
	l := aLauncher(t, w, ns, func(c *launcher.Config) {
		c.Rest.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				answer, err := next.RoundTrip(r)
				if err == nil && answer.StatusCode == http.StatusConflict && strings.HasSuffix(r.URL.Path, "/secrets") {
					taken <- struct{}{}
				}
				return answer, err
			})
		})
	})
	_, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	old := requireOneServer(t, w, ns, "one")
	w.Remove(t, old)
	started := make(chan error, 1)
	go func() {
		_, err := l.Start(t.Context(), aliceStarts("one"))
		started <- err
	}()
	<-taken
	// As the garbage collector would, which doesn't run here.
	require.NoError(t, w.Admin.CoreV1().Secrets(ns).Delete(t.Context(), old.Annotations[policy.AnnotationEnvSecret], metav1.DeleteOptions{}))
	require.NoError(t, <-started)
	assert.NotEqual(t, old.UID, requireOneServer(t, w, ns, "one").UID)
}
