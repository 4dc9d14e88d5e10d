package check

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/test/world"
)

// What the check asks for is what the chart grants: no less, and no more.
func TestTheWebhookIsAskedForTheChartsRights(t *testing.T) {
	t.Chdir("../../../test/world") // from where the chart is found
	for _, mode := range []certs.Mode{certs.SelfSignedMode, certs.CertManagerMode} {
		everywhere, own := certificateRights(certificateMode{secret: mode.Secret()})
		asked := map[string][]string{"everywhere": texts(slices.Concat(webhookRights, everywhere)), "own": texts(slices.Concat(ownRights, own))}
		granted := map[string][]string{}
		for _, r := range world.WebhookRightsIn(t, mode).Each() {
			where := "everywhere"
			if r.Own {
				where = "own"
			}
			granted[where] = append(granted[where], right{verb: r.Verb, group: r.Group, resource: r.Resource, name: r.Name}.String())
		}
		for where := range asked {
			slices.Sort(granted[where])
		}
		assert.Equal(t, granted, asked, mode)
	}
}

func texts(rights []right) []string {
	all := make([]string, 0, len(rights))
	for _, r := range rights {
		all = append(all, r.String())
	}
	slices.Sort(all)
	return all
}
