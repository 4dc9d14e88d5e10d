//go:build e2e

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHubSwitchesOver is the story of a hub that has the real KubeSpawner, and then our plugin, while servers run.
func TestHubSwitchesOver(t *testing.T) {
	h := onStage(t).startHub(t, "switch", "kubespawner")
	users := []string{"alice", "bob", "carol"}
	for _, user := range users {
		h.do(t, user, "log_in", step{"password": hubPassword})
		started := h.do(t, user, "start", nil)
		require.Empty(t, started.Refused)
		assert.Contains(t, started.URL, "/user/"+user+"/lab")
		printed := h.do(t, user, "run", step{"code": "open('mine', 'w').write('" + user + "'); print('wrote', open('mine').read())"}).Printed
		assert.Equal(t, "wrote "+user, printed)
	}
}
