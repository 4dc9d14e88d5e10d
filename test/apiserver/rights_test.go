package apiserver

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// need is what a right of the webhook is for.
type need struct {
	// provoke has a replica that answers ask for it. nil: it does by itself.
	provoke func(*deprived, *testing.T)
	// unready is the check of readiness that fails without it.
	unready string
	// beside is a right to what replicas do beside answering: one with a certificate answers all the same.
	beside bool
}

// webhookNeeds has a case for every right that the chart gives the webhook.
var webhookNeeds = map[string]need{
	"list namespaces":              {unready: "policies"},
	"watch namespaces":             {},
	"list persistentvolumeclaims":  {unready: "policies"},
	"watch persistentvolumeclaims": {},
	"list spawnpolicies":           {unready: "policies"},
	"watch spawnpolicies":          {},
	"list clusterspawnpolicies":    {unready: "policies"},
	"watch clusterspawnpolicies":   {},

	"list pods":      {beside: true},
	"watch pods":     {beside: true},
	"list services":  {beside: true},
	"watch services": {beside: true},

	"create persistentvolumeclaims": {provoke: (*deprived).needsClaims, beside: true},
	"patch persistentvolumeclaims":  {provoke: (*deprived).needsLargerClaims, beside: true},
	"delete persistentvolumeclaims": {provoke: (*deprived).isAskedToDelete, beside: true},
	"create services":               {provoke: (*deprived).needsServices, beside: true},
	"delete services":               {provoke: (*deprived).needsRoomForServices, beside: true},

	"update spawnpolicies/status":        {provoke: (*deprived).meetsPolicies, beside: true},
	"update clusterspawnpolicies/status": {provoke: (*deprived).meetsPolicies, beside: true},
	"create events":                      {beside: true}, // it denies something

	"get leases":    {beside: true},
	"list leases":   {beside: true},
	"watch leases":  {beside: true},
	"create leases": {beside: true},
	"update leases": {beside: true},
	"patch leases":  {beside: true},
	"delete leases": {provoke: (*deprived).ends, beside: true},

	"list secrets slipway-webhook-self-signed":   {unready: "certificate"},
	"watch secrets slipway-webhook-self-signed":  {},
	"list secrets slipway-webhook-cert-manager":  {unready: "certificate"},
	"watch secrets slipway-webhook-cert-manager": {},
	"list secrets slipway-webhook-ca":            {unready: "certificate"},
	"watch secrets slipway-webhook-ca":           {},
	"update secrets slipway-webhook-self-signed": {unready: "certificate"},
	"update secrets slipway-webhook-ca":          {},

	"list mutatingwebhookconfigurations 0-slipway":         {unready: "ca-bundle"},
	"watch mutatingwebhookconfigurations 0-slipway":        {},
	"patch mutatingwebhookconfigurations 0-slipway":        {unready: "ca-bundle"},
	"list validatingwebhookconfigurations slipway":         {unready: "ca-bundle"},
	"watch validatingwebhookconfigurations slipway":        {},
	"patch validatingwebhookconfigurations slipway":        {unready: "ca-bundle"},
	"list validatingwebhookconfigurations slipway-policy":  {unready: "ca-bundle"},
	"watch validatingwebhookconfigurations slipway-policy": {},
	"patch validatingwebhookconfigurations slipway-policy": {unready: "ca-bundle"},
}

// Whoever adds a right to the chart shows here that a replica is refused something without it.
func TestEveryRightOfTheWebhookIsNeeded(t *testing.T) {
	w := world.ForTest(t)
	unused := sets.KeySet(webhookNeeds)
	for _, mode := range []certs.Mode{certs.SelfSignedMode, certs.CertManagerMode} {
		for _, right := range world.WebhookRightsIn(t, mode).Each() {
			unused.Delete(right.String())
			t.Run(string(mode)+"/"+right.String(), func(t *testing.T) {
				needed, known := webhookNeeds[right.String()]
				require.True(t, known, "the chart grants %s, and no case shows that it's needed", right)
				t.Parallel()
				asksInVain(t, newDeprived(t, w, mode, right, needed.beside), needed)
			})
		}
	}
	assert.Empty(t, sets.List(unused), "the chart doesn't grant what these cases are for")
}

// asksInVain waits until the replica is refused what it has no right to.
func asksInVain(t *testing.T, d *deprived, needed need) {
	t.Helper()
	if needed.beside {
		require.NoError(t, d.Await(t.Context(), http.StatusOK))
		d.Client = d.trusting(t)
		d.denies(t)
	}
	if needed.provoke != nil {
		needed.provoke(d, t)
	}
	select {
	case <-d.refused:
	case <-time.After(world.Soon):
		t.Errorf("it does without the right to %s", d.right)
	}
	if needed.unready != "" {
		assert.Contains(t, readiness(t, d.Replica), "[-]"+needed.unready+" failed")
	}
	d.Stop()
	assert.NoError(t, <-d.Ended, "it ends cleanly all the same")
}

// deprived is a replica that has every right of the chart but one.
type deprived struct {
	*world.Replica
	*release
	right   world.Right
	refused <-chan struct{}
}

func newDeprived(t *testing.T, w *world.World, mode certs.Mode, right world.Right, earlier bool) *deprived {
	t.Helper()
	d := &deprived{release: newRelease(t, w, mode, earlier), right: right}
	// Those who write conditions would quarrel with the world's own leader for as long as this goes on, so none may.
	left := world.WebhookRightsIn(t, mode).Without(func(r world.Right) bool { return r == right || strings.HasSuffix(r.Resource, "/status") })
	config, err := w.WebhookAccount(t.Context(), d.namespace, "webhook", left.Renamed(d.names))
	require.NoError(t, err)
	if right.Verb == "list" {
		config.Wrap(withoutStreaming)
	}
	if name := d.names[right.Name]; name != "" {
		right.Name = name
	}
	d.refused = refusalOf(config, right)
	d.Replica, err = world.StartReplica(t.Context(), config, func(o *webhook.Options) {
		o.Namespace, o.DrainDelay = d.namespace, 0
		o.Certificates = d.keeperOptions()
	})
	require.NoError(t, err)
	return d
}

// meetsPolicies gives it policies whose status it wants to write.
func (d *deprived) meetsPolicies(t *testing.T) {
	t.Helper()
	d.w.Put(t, d.namespace, world.HubLaunches, course)
}

// denies has it answer, and tell of that by an Event.
func (d *deprived) denies(t *testing.T) {
	t.Helper()
	assert.False(t, d.Judge(t, d.w.ReviewIn("default")).Allowed)
}

// ends has it withdraw its report.
func (d *deprived) ends(*testing.T) { d.Stop() }

// asked reads requests as the API server's authorization does.
var asked = request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}

// refusalOf has something in it once the API server forbids a request for which it wants this right.
func refusalOf(config *rest.Config, right world.Right) <-chan struct{} {
	refused := make(chan struct{}, 1)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(r)
			if err == nil && answer.StatusCode == http.StatusForbidden && wants(r, right) {
				select {
				case refused <- struct{}{}:
				default:
				}
			}
			return answer, err
		})
	})
	return refused
}

// wants says whether the API server lets a request pass by this right.
func wants(r *http.Request, right world.Right) bool {
	info, err := asked.NewRequestInfo(r)
	if err != nil {
		return false
	}
	resource := info.Resource
	if info.Subresource != "" {
		resource += "/" + info.Subresource
	}
	return info.Verb == right.Verb && info.APIGroup == right.Group && resource == right.Resource && (right.Name == "" || info.Name == right.Name)
}
