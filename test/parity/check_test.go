package parity

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// What real hubs run by is admitted, and what can't run is refused with its path.
func TestPoliciesOfRealHubsAreJudgedByWhetherTheyCanRun(t *testing.T) {
	for _, h := range RealHubs(t) {
		t.Run(h.Name, func(t *testing.T) {
			imported, err := h.Imported()
			require.NoError(t, err)
			c := policy.Compile(policy.Policies{Namespaced: []v1alpha1.SpawnPolicy{*imported}})
			found := c.Check(policy.PolicyRef{Namespace: imported.Namespace, Name: imported.Name},
				policy.Surroundings{Namespaces: []policy.Namespace{{Name: imported.Namespace}}})
			want := Unbuildable[h.Name]
			assert.Len(t, found.Errors, len(want), "%v", found.Errors)
			for _, e := range found.Errors {
				require.Contains(t, want, e.Field, e.Message)
				assert.Contains(t, e.Message, want[e.Field])
			}
		})
	}
}
