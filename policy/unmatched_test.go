package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
)

func TestPoliciesThatAreNotForAServerSayWhy(t *testing.T) {
	p, err := policy.Decode("p", []byte(`
{apiVersion: slipway.dev/v1alpha1, kind: ClusterSpawnPolicy, metadata: {name: all}, spec: {launchers: [{serviceAccount: {namespace: a, name: b}, mayAssertGroups: ["*"]}]}}
---
{apiVersion: slipway.dev/v1alpha1, kind: ClusterSpawnPolicy, metadata: {name: by-label}, spec: {namespaceSelector: {matchLabels: {tier: x}}}}
---
{apiVersion: slipway.dev/v1alpha1, kind: ClusterSpawnPolicy, metadata: {name: by-hub}, spec: {hubs: [one, two]}}
---
{apiVersion: slipway.dev/v1alpha1, kind: SpawnPolicy, metadata: {name: by-user, namespace: here}, spec: {users: ["b*"], enforcement: Audit}}
---
{apiVersion: slipway.dev/v1alpha1, kind: SpawnPolicy, metadata: {name: by-group, namespace: here}, spec: {groups: [staff]}}
---
{apiVersion: slipway.dev/v1alpha1, kind: SpawnPolicy, metadata: {name: by-condition, namespace: here}, spec: {matchConditions: [{name: a, expression: "true"}, {name: b, expression: "user.name == 'bob'"}]}}
---
{apiVersion: slipway.dev/v1alpha1, kind: SpawnPolicy, metadata: {name: elsewhere, namespace: there}, spec: {}}
`))
	require.NoError(t, err)
	in := policy.Input{Identity: policy.Identity{Hub: "main", User: "alice", Groups: []string{"students"}}, Namespace: policy.Namespace{Name: "here"}}
	said := map[string]string{}
	for _, u := range policy.Compile(p).Unmatched(in) {
		said[u.Policy.Name] = u.Path + ": " + u.Message
	}
	assert.Equal(t, map[string]string{
		"by-label":     "spec.namespaceSelector: selects tier=x, and namespace here has no label",
		"by-hub":       `spec.hubs: has one, two, and the hub is "main"`,
		"by-user":      `spec.users: has b*, and the user is "alice"`,
		"by-group":     "spec.groups: has staff, and the user is in students",
		"by-condition": "spec.matchConditions[1]: is false",
	}, said)
}
