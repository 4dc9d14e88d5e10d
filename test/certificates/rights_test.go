package certificates

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/test/world"
)

func TestEveryRightForCertificatesIsNeeded(t *testing.T) {
	rights := []string{"update " + certs.SelfSignedSecret, "update " + certs.AuthoritiesSecret, "patch -fits", "patch -verifies", "patch -judges"}
	for _, verb := range []string{"list", "watch"} {
		for _, name := range []string{certs.SelfSignedSecret, certs.CertManagerSecret, certs.AuthoritiesSecret, "-fits", "-verifies", "-judges"} {
			rights = append(rights, verb+" "+name)
		}
	}
	methods := map[string]string{"list": http.MethodGet, "watch": http.MethodGet, "update": http.MethodPut, "patch": http.MethodPatch}
	for _, right := range rights {
		t.Run(right, func(t *testing.T) {
			t.Parallel()
			verb, name, _ := strings.Cut(right, " ")
			r := newRelease(t, right)
			if strings.HasPrefix(name, "-") {
				name = r.namespace + name
			}
			refused := make(chan struct{})
			o := r.keeperOptions(certs.SelfSignedMode)
			o.Namespace, o.Config = r.namespace, rest.CopyConfig(r.config)
			o.Config.Wrap(watching(methods[verb], name, verb == "list", sync.OnceFunc(func() { close(refused) })))
			keeper, err := certs.NewKeeper(o)
			require.NoError(t, err)
			ctx, stop := context.WithCancel(t.Context())
			var group sync.WaitGroup
			defer group.Wait()
			defer stop()
			group.Go(func() { assert.NoError(t, keeper.Start(ctx)) })
			group.Go(func() { keeper.Lead(ctx, r.noLeases()) })
			select {
			case <-refused:
			case <-time.After(world.Soon):
				t.Error("it does without")
			}
		})
	}
}

// watching calls refused when the API server forbids a request for an object of this name. lists is an API server that
// doesn't begin a watch with what is there, so that clients have to list; by one that does, that right isn't used.
func watching(method, name string, lists bool, refused func()) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			query := request.URL.Query()
			if lists && query.Has("sendInitialEvents") {
				const invalid = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`
				return &http.Response{
					StatusCode: http.StatusUnprocessableEntity, Header: http.Header{"Content-Type": {"application/json"}},
					Body: io.NopCloser(strings.NewReader(invalid)), Request: request,
				}, nil
			}
			answer, err := next.RoundTrip(request)
			about := strings.HasSuffix(request.URL.Path, "/"+name) || strings.HasSuffix(query.Get("fieldSelector"), "="+name)
			watches := method == http.MethodGet && !lists
			if err == nil && answer.StatusCode == http.StatusForbidden && request.Method == method && about && query.Has("watch") == watches {
				refused()
			}
			return answer, err
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
