package chart

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	psapi "k8s.io/pod-security-admission/api"
	pspolicy "k8s.io/pod-security-admission/policy"

	"github.com/slipway-hub/slipway/policy"
)

// starter are values with a starter policy for one hub.
var starter = values{
	"launcherAccounts": []any{values{"namespace": "jupyter", "name": "hub"}},
	"starterPolicies":  values{"enabled": true, "namespaces": []any{"users"}, "hubs": []any{"main"}},
}

func TestTheStarterPolicyFitsOutServersThatPassRestricted(t *testing.T) {
	config := as[corev1.ConfigMap](t, render(t, starter).find(t, "ConfigMap", "slipway-starter-policies"))
	decoded, err := policy.Decode("policies.yaml", []byte(config.Data["policies.yaml"]))
	require.NoError(t, err)
	compiled := policy.Compile(decoded)
	require.Empty(t, compiled.Errors())

	input := policy.Input{
		Identity:  policy.Identity{Name: "jupyter-alice", Hub: "main", User: "alice", Groups: []string{"staff"}},
		Namespace: policy.Namespace{Name: "users", Labels: map[string]string{corev1.LabelMetadataName: "users"}},
		Caller:    "system:serviceaccount:jupyter:hub",
	}
	result, err := compiled.Apply(input)
	require.NoError(t, err)
	require.Empty(t, result.Denials)
	assert.Empty(t, result.Warnings)

	evaluator, err := pspolicy.NewEvaluator(pspolicy.DefaultChecks(), nil)
	require.NoError(t, err)
	restricted := pspolicy.AggregateCheckResults(evaluator.EvaluatePod(
		psapi.LevelVersion{Level: psapi.LevelRestricted, Version: psapi.LatestVersion()}, &result.Pod.ObjectMeta, &result.Pod.Spec))
	assert.True(t, restricted.Allowed, restricted.ForbiddenDetail())

	for name, c := range map[string]struct {
		change func(*policy.Input)
		code   policy.Code
	}{
		"another namespace": {func(in *policy.Input) { in.Namespace = policy.Namespace{Name: "other"} }, policy.NoPolicy},
		"another hub":       {func(in *policy.Input) { in.Identity.Hub = "other" }, policy.NoPolicy},
		"another launcher":  {func(in *policy.Input) { in.Caller = "system:serviceaccount:jupyter:other" }, policy.LauncherNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			in := input
			c.change(&in)
			result, err := compiled.Apply(in)
			require.NoError(t, err)
			require.NotEmpty(t, result.Denials)
			assert.Equal(t, c.code, result.Denials[0].Code)
		})
	}
}

func TestServersAreKeptFromTheMetadataServers(t *testing.T) {
	v := merged(starter, values{"starterPolicies": values{"enabled": true, "namespaces": []any{"a", "b"}}})
	var namespaces []string
	for _, o := range render(t, v) {
		if o.GetKind() != "NetworkPolicy" {
			continue
		}
		p := as[networkingv1.NetworkPolicy](t, o)
		namespaces = append(namespaces, p.Namespace)
		assert.Equal(t, policy.LabelHub, p.Spec.PodSelector.MatchExpressions[0].Key)
		assert.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, p.Spec.PolicyTypes)
		for _, peer := range p.Spec.Egress[0].To {
			if peer.IPBlock != nil && peer.IPBlock.CIDR == "0.0.0.0/0" {
				assert.Contains(t, peer.IPBlock.Except, "169.254.169.254/32")
			}
		}
	}
	assert.Equal(t, []string{"a", "b"}, namespaces)
}

// What is applied by a hook must not be an object of the release: Helm would delete it before each upgrade.
func TestNoPolicyIsAnObjectOfTheRelease(t *testing.T) {
	for _, o := range render(t, starter) {
		assert.NotContains(t, o.GetKind(), "SpawnPolicy")
	}
}
