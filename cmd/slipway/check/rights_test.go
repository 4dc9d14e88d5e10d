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
		asked := append(rightsOf(slices.Concat(webhookRights, everywhere), false), rightsOf(slices.Concat(ownRights, own), true)...)
		assert.ElementsMatch(t, world.WebhookRightsIn(t, mode).Each(), asked, mode)
	}
}

func rightsOf(rights []right, own bool) []world.Right {
	all := make([]world.Right, 0, len(rights))
	for _, r := range rights {
		all = append(all, world.Right{Own: own, Verb: r.verb, Group: r.group, Resource: r.resource, Name: r.name})
	}
	return all
}
