package chart

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/test/cluster/kube"
)

// What the API server itself lets the accounts do: by the chart, and by what every account may.
func TestWhatEachAccountCanI(t *testing.T) {
	c := prepared(t)
	for golden, account := range map[string]struct {
		name, template, in string
		values             values
	}{
		"webhook-self-signed":  {"slipway-webhook", "templates/webhook/rbac.yaml", namespace, nil},
		"webhook-cert-manager": {"slipway-webhook", "templates/webhook/rbac.yaml", namespace, values{"certificates": values{"mode": "certManager"}}},
		"launcher": {"slipway-launcher", "templates/launcher/rbac.yaml", "users", values{
			"launcher": launcher(values{"namespaces": []any{"users", "more-users"}}),
		}},
		"launcher-at-home": {"slipway-launcher", "templates/launcher/rbac.yaml", namespace, values{
			"launcher": launcher(values{"namespaces": []any{"users", "more-users"}}),
		}},
	} {
		t.Run(golden, func(t *testing.T) {
			roles, says, err := template(t, account.values, "--show-only", account.template)
			require.NoError(t, err, says)
			requireCanI(t, c, golden, roles, "system:serviceaccount:"+namespace+":"+account.name, account.in)
		})
	}
}

// requireCanI compares what a user may do in a namespace by these roles, and by what every account may, with a golden file, and gives it.
func requireCanI(t *testing.T, c *kube.Cluster, golden, roles, user, in string) string {
	t.Helper()
	_, err := c.Kubectl(t.Context(), strings.NewReader(roles), "apply", "-f", "-")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := c.Kubectl(context.WithoutCancel(t.Context()), strings.NewReader(roles), "delete", "-f", "-")
		assert.NoError(t, err)
	})
	awaitRoles(t, c, "after-"+golden)
	got := canI(t, c, user, in)
	file := "testdata/can-i-" + golden + ".txt"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "if that is meant, run: go test ./test/chart -run CanI -update")
	return got
}

// canI is all that a user may do in a namespace, as the API server says.
func canI(t *testing.T, c *kube.Cluster, user, in string) string {
	t.Helper()
	got, err := c.Kubectl(t.Context(), nil, "auth", "can-i", "--list", "--namespace", in, "--as", user)
	require.NoError(t, err)
	return got
}

// lastRoles give a user USER rights to what doesn't exist. The API server takes up roles, and bindings, in the order in which they
// were written, so it goes by all that came before once it goes by these.
const lastRoles = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: USER}
rules: [{apiGroups: [last.example], resources: [everywhere], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: USER}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: USER}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: USER}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: USER, namespace: users}
rules: [{apiGroups: [last.example], resources: [own], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: USER, namespace: users}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: USER}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: USER}]
`

// awaitRoles waits until the API server, which reads roles from its cache, goes by all that were written and deleted.
func awaitRoles(t *testing.T, c *kube.Cluster, user string) {
	t.Helper()
	last := strings.ReplaceAll(lastRoles, "USER", user)
	_, err := c.Kubectl(t.Context(), strings.NewReader(last), "apply", "-f", "-")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := c.Kubectl(context.WithoutCancel(t.Context()), strings.NewReader(last), "delete", "-f", "-")
		assert.NoError(t, err)
	})
	require.Eventually(t, func() bool {
		got := canI(t, c, user, "users")
		return strings.Contains(got, "everywhere.last.example") && strings.Contains(got, "own.last.example")
	}, 30*time.Second, 100*time.Millisecond)
}
