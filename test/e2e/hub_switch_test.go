//go:build e2e

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHubSwitchesOver is the story of a hub that has the real KubeSpawner, and then our plugin, while servers run.
func TestHubSwitchesOver(t *testing.T) {
	const namespace = "switch"
	s := onStage(t)
	h := s.newHub(t, namespace)
	h.runHub(t, kubeSpawner)
	if !t.Run("servers are started by KubeSpawner", h.kubeSpawnerStarts) {
		return
	}
	s.installForHub(t, namespace)
	for _, chapter := range []struct {
		name string
		tell func(*jupyterHub, *testing.T)
	}{
		{"the plugin takes them over", (*jupyterHub).takeOver},
		{"they stop, and start again with the same homes", (*jupyterHub).comeBack},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.tell(h, t) }) {
			break
		}
	}
}

// escaped is a user whose home has another name by policy than by KubeSpawner's older way of escaping: it has to be found.
const escaped = "dave@example.org"

// switched are the users of the hub that switches over.
var switched = []string{"alice", "bob", "carol", escaped}

// homesOfKubeSpawner are the claims that it made for them.
var homesOfKubeSpawner = map[string]string{
	"alice": "claim-alice", "bob": "claim-bob", "carol": "claim-carol", escaped: "claim-dave-40example-2eorg",
}

func (h *jupyterHub) kubeSpawnerStarts(t *testing.T) {
	t.Helper()
	for _, user := range switched {
		h.do(t, user, "log_in", step{"password": hubPassword})
		started := h.do(t, user, "start", nil)
		require.Empty(t, started.Refused)
		assert.Contains(t, started.URL, "/user/"+user+"/lab")
		code := "open('mine', 'w').write('" + user + "'); print('wrote', open('mine').read())"
		assert.Equal(t, "wrote "+user, h.do(t, user, "run", step{"code": code}).Printed)
	}
	assert.Equal(t, homesOfKubeSpawner, h.homes(t))
}

func (h *jupyterHub) takeOver(t *testing.T) {
	t.Helper()
	before := h.pods(t)
	require.Len(t, before, len(switched))
	h.kubectl(t, "", "delete", "--namespace", h.namespace, "-f", "testdata/hub/kubespawner/rights.yaml")
	h.runHub(t, slipwaySpawner)
	for _, user := range switched {
		assert.Equal(t, user, h.do(t, user, "run", step{"code": "print(open('mine').read())"}).Printed)
		assert.Contains(t, h.do(t, user, "visit", step{"path": "/hub/home"}).Text, "Stop My Server")
	}
	assert.Equal(t, before, h.pods(t))
}

func (h *jupyterHub) comeBack(t *testing.T) {
	t.Helper()
	for _, user := range switched {
		h.stopAndStart(t, user, nil)
		assert.Equal(t, user, h.do(t, user, "run", step{"code": "print(open('mine').read())"}).Printed)
	}
	assert.Equal(t, homesOfKubeSpawner, h.homes(t))
}
