package apiserver

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// What a replica writes is beside its answers: without a right it is refused something, and answers all the same.
func TestEveryRightBesideAnsweringIsNeededAndAnswersDoWithout(t *testing.T) {
	w := world.ForTest(t)
	for right, methods := range map[string]string{
		"get leases": "GET", "list leases": "GET", "watch leases": "GET", "create leases": "POST PATCH", "update leases": "PUT",
		"patch leases": "PATCH", "delete leases": "DELETE", "create events": "POST",
		"update spawnpolicies/status": "PUT", "update clusterspawnpolicies/status": "PUT",
	} {
		t.Run(right, func(t *testing.T) {
			t.Parallel()
			verb, resource, _ := strings.Cut(right, " ")
			ns := w.Namespace(t)
			// One that can write conditions would quarrel with the world's own leader.
			reads := slices.DeleteFunc(slices.Clone(world.WebhookRights), func(r rbacv1.PolicyRule) bool { return !slices.Contains(r.Verbs, "watch") })
			config, err := w.WebhookAccount(t.Context(), ns, "without-"+strings.NewReplacer(" ", "-", "/", "-").Replace(right), reads, withoutVerb(world.OwnRights, verb, resource))
			require.NoError(t, err)
			if verb == "list" {
				config.Wrap(withoutStreaming)
			}
			plural, _, _ := strings.Cut(resource, "/")
			refused := refusalsOf(config, "/"+plural)
			r, err := world.StartReplica(t.Context(), config, func(o *webhook.Options) { o.Namespace = ns })
			require.NoError(t, err)
			require.NoError(t, r.Await(t.Context(), http.StatusOK))

			if strings.HasSuffix(resource, "/status") {
				w.Put(t, ns, world.HubLaunches, course)
			}
			assert.False(t, r.Judge(t, w.ReviewIn("default")).Allowed) // a denial, for Events
			if verb == "delete" {
				r.Stop()
			}
			select {
			case request := <-refused:
				method, path, _ := strings.Cut(request, " ")
				assert.Contains(t, methods, method, path)
				assert.Equal(t, strings.HasSuffix(resource, "/status"), strings.HasSuffix(path, "/status"), path)
			case <-time.After(world.Soon):
				t.Error("it does without")
			}
			r.Stop()
			assert.NoError(t, <-r.Ended)
		})
	}
}

// withoutVerb takes one verb on one resource away.
func withoutVerb(rights []rbacv1.PolicyRule, verb, resource string) []rbacv1.PolicyRule {
	var rest []rbacv1.PolicyRule
	for _, rule := range rights {
		for _, r := range rule.Resources {
			for _, v := range rule.Verbs {
				if r != resource || v != verb {
					rest = append(rest, rbacv1.PolicyRule{APIGroups: rule.APIGroups, Resources: []string{r}, Verbs: []string{v}})
				}
			}
		}
	}
	return rest
}

// refusalsOf gets method and path of the first request that the API server forbids, among those with this in their path.
func refusalsOf(config *rest.Config, part string) <-chan string {
	refused := make(chan string, 1)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(request)
			if err == nil && answer.StatusCode == http.StatusForbidden && strings.Contains(request.URL.Path, part) {
				select {
				case refused <- request.Method + " " + request.URL.Path:
				default:
				}
			}
			return answer, err
		})
	})
	return refused
}
