package launcher_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

func TestSkeletonHoldsIdentityAndNothingElse(t *testing.T) {
	id := policy.Identity{
		Name: "jupyter-alice--gpu", Hub: "main", User: "Alice", Server: "gpu", UserID: new(int64(7)),
		Groups: []string{"staff"}, Profile: "gpu", Options: map[string]string{"image": "pytorch"},
		EnvSecret: "jupyter-alice-env-x7k2m9qa", EnvKeys: []string{"JUPYTERHUB_USER"},
	}
	pod := launcher.Skeleton(id, "research")

	got, err := yaml.Marshal(pod)
	require.NoError(t, err)
	assert.YAMLEq(t, `
apiVersion: v1
kind: Pod
metadata:
  name: jupyter-alice--gpu
  namespace: research
  labels:
    slipway.dev/hub: main
    hub.jupyter.org/username: `+policy.LabelSlug("Alice")+`
    hub.jupyter.org/servername: gpu
  annotations:
    hub.jupyter.org/username: Alice
    hub.jupyter.org/servername: gpu
    slipway.dev/user-id: "7"
    slipway.dev/groups: '["staff"]'
    slipway.dev/profile: gpu
    slipway.dev/options: '{"image":"pytorch"}'
    slipway.dev/env-secret: jupyter-alice-env-x7k2m9qa
    slipway.dev/env-keys: '["JUPYTERHUB_USER"]'
spec:
  containers: [{name: notebook, resources: {}}]
status: {}
`, string(got))

	read, denials := policy.IdentityOf(pod)
	assert.Empty(t, denials)
	assert.Equal(t, id, read, "what the engine reads is what the launcher was told")
}
