package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/cluster/kube"
)

// audits is a policy that would change and deny something, and doesn't.
const audits = `
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: audit}
spec:
  enforcement: Audit
  enforced: {nodeSelector: {pool: users}, memLimit: 1Gi, environment: {PASSWORD: hunter2}}
  constraints: {image: {allow: ["none/*"]}}
`

func TestExplainedServersEqualTheirGoldenFiles(t *testing.T) {
	for golden, c := range map[string]struct {
		args  string
		stdin string
		code  int
	}{
		"explain-home.txt":        {args: "-f testdata/home.yaml -n home --user bob", code: exitGood},
		"explain-denied.txt":      {args: "-f testdata/home.yaml -n home --user bob --launcher a/b", code: exitDenied},
		"explain-audit.txt":       {args: "-f testdata/home.yaml -f - -n home --user bob", stdin: audits, code: exitGood},
		"explain-layers.txt":      {args: "-f testdata/layers.yaml -n course --namespace-label tier=research --user bob --group staff --profile big --env JUPYTERHUB_API_TOKEN=hunter2", code: exitGood},
		"explain-layers.json":     {args: "-f testdata/layers.yaml -n course --namespace-label tier=research --user bob --group staff --profile big --why env -o json", code: exitGood},
		"explain-why.txt":         {args: "-f testdata/layers.yaml -n course --namespace-label tier=research --user bob --group staff --profile big --why containers[notebook].image", code: exitGood},
		"explain-why-many.txt":    {args: "-f testdata/layers.yaml -n course --namespace-label tier=research --user bob --group staff --profile big --why volumes[*].nfs", code: exitGood},
		"explain-why-setting.txt": {args: "-f testdata/layers.yaml -n course --namespace-label tier=research --user bob --group staff --profile big --why slugScheme", code: exitGood},
		"explain-unmatched.txt":   {args: "-f testdata/layers.yaml -n course --user bob --hub main", code: exitDenied},
		"explain-alone.json":      {args: "-f - -n home --pod testdata/pod-of-hub.yaml --hub campus -o json", stdin: strings.Replace(audits, "spec:", "spec:\n  skeleton: Keep", 1), code: exitGood},
	} {
		t.Run(golden, func(t *testing.T) {
			got := slipway(t, c.stdin, append([]string{"explain"}, strings.Fields(c.args)...)...)
			require.Equal(t, c.code, got.code, got.err)
			assert.Empty(t, got.err, "the explanation has said it all")
			assert.NotContains(t, got.out, "hunter2")
			assertGolden(t, golden, got.out)
		})
	}
}

func TestExplainEndsWithTheExitCodeThatSaysWhy(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	for args, code := range map[string]int{
		"-f testdata/home.yaml -n home --user bob -o xml":     exitInvalid,
		"-f testdata/home.yaml -n home --user bob --why imge": exitInvalid,
		"jupyter-bob --user bob":                              exitInvalid,
		"jupyter-bob":                                         exitFailed,
		"a b":                                                 exitInvalid,
		"-f testdata/home.yaml -n home":                       exitInvalid,
	} {
		got := slipway(t, "", append([]string{"explain"}, strings.Fields(args)...)...)
		assert.Equal(t, code, got.code, "%s: %s", args, got.err)
		assert.Empty(t, got.out)
	}
}

func TestWhyNamesWhatCouldBeMeant(t *testing.T) {
	got := slipway(t, "", "explain", "-f", "testdata/home.yaml", "-n", "home", "--user", "bob", "--why", "containers[notebook].imagge")
	assert.Contains(t, got.err, "did you mean image?")
	got = slipway(t, "", "explain", "-f", "testdata/home.yaml", "-n", "home", "--user", "bob", "--why", "zebra")
	assert.Contains(t, got.err, "slipway explain without --why lists them all")
}

func TestRenderSaysWhatAuditedPoliciesWouldDo(t *testing.T) {
	args := strings.Fields("render -f testdata/home.yaml -n home --user bob")
	without := slipway(t, "", args...)
	with := slipway(t, audits, append(args, "-f", "-")...)
	assert.Equal(t, exitGood, with.code, with.err)
	assert.Equal(t, without.out, with.out)
	assert.Contains(t, with.err, "warning: audit: would be denied: Slipway ConstraintViolated: ClusterSpawnPolicy audit: ")
	assert.Contains(t, with.err, "warning: audit: would be added: ")
	assert.NotContains(t, with.err, "hunter2")

	sent := slipway(t, audits, strings.Fields("render -f - -n home --hub main --pod testdata/pod-of-hub.yaml")...)
	assert.Equal(t, exitGood, sent.code, sent.err)
	assert.NotContains(t, sent.out, policy.AnnotationApplied)
	assert.Contains(t, sent.out, "team", "it is the pod that was sent")
}

// explainRunning asks about pods of a cluster: one that no policy has fitted, and one that is no hub's.
func explainRunning(t *testing.T, c *kube.Cluster) {
	t.Helper()
	t.Setenv("KUBECONFIG", c.Kubeconfig())
	pod, err := os.ReadFile("testdata/pod-of-hub.yaml")
	require.NoError(t, err)
	create := func(pod string) {
		t.Helper()
		_, err := c.Kubectl(t.Context(), strings.NewReader(pod), "create", "-n", "default", "-f", "-")
		require.NoError(t, err)
	}
	create(string(pod))
	create("{apiVersion: v1, kind: Pod, metadata: {name: foreign}, spec: {containers: [{name: a, image: b}]}}")
	policies := filepath.Join(t.TempDir(), "audit.yaml")
	require.NoError(t, os.WriteFile(policies, []byte(strings.Replace(audits, "spec:", "spec:\n  skeleton: Keep", 1)), 0o600))

	got := slipway(t, "", "explain", "jupyter-alice", "-f", policies, "-o", "json")
	require.Equal(t, exitGood, got.code, got.err)
	var e explanation
	require.NoError(t, json.Unmarshal([]byte(got.out), &e))
	assert.Equal(t, "untouched", e.Outcome)
	assert.Equal(t, policy.AuditDenied, e.Audit.Outcome)
	assert.Equal(t, "spec.initContainers[prepare].image", e.Audit.Denials[0].Field)
	assert.Contains(t, e.Audit.Differences, policy.Difference{Path: "spec.nodeSelector[pool]", Change: policy.FieldAdded})

	strict := slipway(t, strings.Replace(audits, "spec:", "spec:\n  skeleton: Strict", 1), "explain", "jupyter-alice", "-f", "-")
	assert.Equal(t, exitGood, strict.code, strict.err)
	assert.Contains(t, strict.out, "SkeletonNotBare", "what the hub sent is known yet")

	foreign := slipway(t, "", "explain", "foreign", "-f", policies)
	assert.Equal(t, exitInvalid, foreign.code)
	assert.Contains(t, foreign.err, "has no label slipway.dev/hub")
	gone := slipway(t, "", "explain", "-n", "default", "gone", "-f", policies)
	assert.Equal(t, exitFailed, gone.code)
	now := slipway(t, "", "explain", "-n", "default", "jupyter-alice")
	assert.Equal(t, exitDenied, now.code, "no policy of the cluster is for that namespace")
	assert.Contains(t, now.out, "NoPolicy")
}
