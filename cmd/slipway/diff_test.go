package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/test/cluster/kube"
)

// courseNamespace is what a dump of the cluster says of the namespace of layers.yaml.
const courseNamespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: course, labels: {tier: research}}\n"

// dumpOf writes the pods that layers.yaml gives these users, with their profiles after a slash, as kubectl get prints them.
func dumpOf(t *testing.T, users ...string) string {
	t.Helper()
	dump := courseNamespace
	for _, user := range users {
		user, profile, _ := strings.Cut(user, "/")
		args := []string{"render", "-f", "testdata/layers.yaml", "-n", "course", "--namespace-label", "tier=research", "--user", user,
			"--group", "staff", "--profile", profile, "--env", "JUPYTERHUB_API_TOKEN=hunter2"}
		got := slipway(t, "", append(args, "-o", "json")...)
		require.Equal(t, exitGood, got.code, got.err)
		var list struct{ Items []json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(got.out), &list))
		dump += "---\n" + string(list.Items[0]) + "\n"
	}
	file := filepath.Join(t.TempDir(), "dump.yaml")
	require.NoError(t, os.WriteFile(file, []byte(dump), 0o600))
	return file
}

func TestDiffsEqualTheirGoldenFiles(t *testing.T) {
	dump := dumpOf(t, "alice/small", "bob/small", "carol/small", "dave/small", "erin/small", "fay/small", "gus/big", "hal-b/big")
	const proposed = " -f testdata/layers-changed.yaml"
	for golden, c := range map[string]struct {
		args string
		code int
	}{
		"diff-same.txt":       {"--pods " + dump + " -f testdata/layers.yaml", exitGood},
		"diff-changed.txt":    {"--pods " + dump + proposed, exitDenied},
		"diff-changed.md":     {"--pods " + dump + proposed + " -o markdown", exitDenied},
		"diff-changed.json":   {"--pods " + dump + proposed + " --user alice -o json", exitDenied},
		"diff-against.txt":    {"--pods " + dump + proposed + " --against testdata/layers.yaml --user alice", exitDenied},
		"diff-admitted.txt":   {"--pods " + dump + " -f testdata/layers.yaml --against testdata/layers-changed.yaml --user gus", exitDenied},
		"diff-of-tests.md":    {"--tests testdata/layers_test.yaml --against testdata/layers.yaml -o markdown" + proposed, exitDenied},
		"diff-of-nothing.txt": {"--pods " + dump + proposed + " --hub other", exitGood},
	} {
		t.Run(golden, func(t *testing.T) {
			got := slipway(t, "", append([]string{"diff"}, strings.Fields(c.args)...)...)
			require.Equal(t, c.code, got.code, got.err)
			assert.Empty(t, got.err, "the report has said it all")
			assert.NotContains(t, got.out, "chemistry", "what a variable holds is nobody's affair")
			assertGolden(t, golden, got.out)
		})
	}
}

func TestDiffEndsWithTheExitCodeThatSaysWhy(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	dump := dumpOf(t, "alice/small")
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"-A -n course": {exitInvalid, "say different things"},
		"--tests testdata/layers_test.yaml -f testdata/layers.yaml":                   {exitInvalid, "--tests needs --against"},
		"--tests testdata/layers_test.yaml --against testdata/layers.yaml":            {exitInvalid, "--tests needs -f"},
		"--tests testdata/layers_test.yaml --against a --pods b -f c":                 {exitInvalid, "leave one out"},
		"--against - -f - --pods " + dump:                                             {exitInvalid, "standard input can be read once"},
		"-f testdata/layers.yaml --pods " + dump + " -o xml":                          {exitInvalid, "the formats are table, markdown and json"},
		"-f testdata/layers.yaml --pods testdata/layers.yaml":                         {exitInvalid, `holds a "ClusterSpawnPolicy": only Pods`},
		"-f testdata/none.yaml --pods " + dump:                                        {exitInvalid, "none.yaml"},
		"-f testdata/layers.yaml":                                                     {exitFailed, "find the cluster"},
		"--pods " + dump:                                                              {exitFailed, "find the cluster"},
		"-f testdata/layers.yaml --pods testdata/home.yaml --pods testdata/none.yaml": {exitInvalid, "none.yaml"},
	} {
		got := slipway(t, "", append([]string{"diff"}, strings.Fields(args)...)...)
		assert.Equal(t, want.code, got.code, "%s: %s", args, got.err)
		assert.Contains(t, got.err, want.text, args)
		assert.Empty(t, got.out)
	}
}

func TestHomesThatExistAreFoundAgainUnderATemplateThatChanged(t *testing.T) {
	dump := dumpOf(t, "alice/small")
	without := slipway(t, "", "diff", "--pods", dump, "-f", "testdata/layers-changed.yaml", "--against", "testdata/layers.yaml")
	assert.Contains(t, without.out, "claim.metadata.name: home-{username}")
	claim := filepath.Join(t.TempDir(), "claims.yaml")
	require.NoError(t, os.WriteFile(claim, []byte(`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: claim-alice, namespace: course,
  labels: {slipway.dev/hub: main}, annotations: {hub.jupyter.org/username: alice}}}`), 0o600))
	with := slipway(t, "", "diff", "--pods", dump, "--pods", claim, "-f", "testdata/layers-changed.yaml", "--against", "testdata/layers.yaml")
	assert.NotContains(t, with.out, "claim.metadata.name")
	assert.Contains(t, with.out, "1 would change")
}

func TestPoliciesWithoutANamespaceAreForThatOfEachServer(t *testing.T) {
	dump := dumpOf(t, "alice/small")
	data, err := os.ReadFile("testdata/layers.yaml")
	require.NoError(t, err)
	placeless := strings.Replace(string(data), "name: course, namespace: course", "name: course", 1)
	got := slipway(t, placeless, "diff", "--pods", dump, "-f", "-")
	assert.Equal(t, exitGood, got.code, got.err+got.out)
}

func TestPodsComeFromStandardInput(t *testing.T) {
	data, err := os.ReadFile(dumpOf(t, "alice/small"))
	require.NoError(t, err)
	got := slipway(t, string(data), "diff", "--pods", "-", "-f", "testdata/layers.yaml")
	assert.Equal(t, "1 server: 1 the same\n", got.out, got.err)
	_, pod, _ := strings.Cut(string(data), "---\n")
	list := courseNamespace + "---\n" + `{"kind":"PodList","apiVersion":"v1","items":[` + strings.Replace(pod, `"kind": "Pod",`, "", 1) + "]}"
	require.NotEqual(t, pod, strings.Replace(pod, `"kind": "Pod",`, "", 1))
	got = slipway(t, list, "diff", "--pods", "-", "-f", "testdata/layers.yaml")
	assert.Equal(t, "1 server: 1 the same\n", got.out, got.err)
}

func TestAThousandServersAreComparedInSeconds(t *testing.T) {
	users := make([]string, 1000)
	for i := range users {
		users[i] = fmt.Sprintf("user%d/small", i)
	}
	one, err := os.ReadFile(dumpOf(t, "user0/small"))
	require.NoError(t, err)
	_, pod, _ := strings.Cut(string(one), "---\n")
	dump := courseNamespace
	for i := range users {
		dump += "---\n" + strings.ReplaceAll(pod, "user0", fmt.Sprintf("user%d", i))
	}
	file := filepath.Join(t.TempDir(), "dump.yaml")
	require.NoError(t, os.WriteFile(file, []byte(dump), 0o600))
	began := time.Now()
	got := slipway(t, "", "diff", "--pods", file, "-f", "testdata/layers-changed.yaml")
	t.Logf("took %s", time.Since(began))
	assert.Equal(t, exitDenied, got.code, got.err)
	assert.Contains(t, got.out, "1000 servers would change: ")
	assert.Equal(t, 1, strings.Count(got.out, "spec.nodeSelector[pool]: new"), "one group")
}

// diffRunning is when two servers of the examples run in data101: alice's, and Alice's.
func diffRunning(t *testing.T, c *kube.Cluster) {
	t.Helper()
	t.Setenv("KUBECONFIG", c.Kubeconfig())
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := c.Kubectl(t.Context(), nil, args...)
		require.NoError(t, err)
		return out
	}
	same := slipway(t, "", "diff", "-n", "data101")
	require.Equal(t, exitGood, same.code, same.out+same.err)
	assert.Equal(t, "2 servers: 2 the same\n", same.out, "what the API server adds is no difference")

	kubectl("label", "pod", "-n", "data101", "jupyter-alice", "seen=yes")
	kubectl("set", "image", "-n", "data101", "pod/jupyter-alice", "mongo=mongo:changed")
	changed := slipway(t, "", "diff", "-n", "data101")
	assert.Equal(t, exitDenied, changed.code, changed.err)
	assert.Contains(t, changed.out, "2 servers: 1 the same, 1 would be different now\n")
	assert.Contains(t, changed.out, "  - spec.containers[mongo].image: mongo:changed\n  + spec.containers[mongo].image: mongo:5.0.11  (SpawnPolicy data101/data101 spec.defaults.extraContainers[0].image)\n")
	assert.NotContains(t, changed.out, "seen")

	data, err := os.ReadFile(filepath.Join(examples, "data101.yaml"))
	require.NoError(t, err)
	proposed := filepath.Join(t.TempDir(), "data101.yaml")
	require.NoError(t, os.WriteFile(proposed, []byte(strings.ReplaceAll(string(data), "data101-pool", "new-pool")), 0o600))
	platform := filepath.Join(examples, "platform.yaml")
	for _, args := range [][]string{{"-A"}, {"-n", "data101"}} {
		got := slipway(t, "", append([]string{"diff", "-f", proposed, "-f", platform, "--against", examples}, args...)...)
		assert.Equal(t, exitDenied, got.code, got.err)
		assert.Contains(t, got.out, "2 servers would change: data101/jupyter-alice, data101/jupyter-alice---3bc51062\n  - spec.nodeSelector[hub.jupyter.org/pool-name]: data101-pool\n  + spec.nodeSelector[hub.jupyter.org/pool-name]: new-pool")
	}
	denied := slipway(t, "", "diff", "-n", "data101", "-f", platform, "--user", "alice")
	assert.Equal(t, exitDenied, denied.code, denied.err)

	dump := filepath.Join(t.TempDir(), "dump.yaml")
	require.NoError(t, os.WriteFile(dump, []byte(kubectl("get", "pods,pvc,namespaces", "-A", "-o", "yaml")), 0o600))
	offline := slipway(t, "", "diff", "--pods", dump, "-n", "data101", "-f", examples)
	assert.Equal(t, changed.out, strings.ReplaceAll(offline.out, "would change", "would be different now"))

	why := slipway(t, "", "explain", "-n", "data101", "jupyter-alice", "--why", "dnsPolicy")
	assert.Equal(t, exitGood, why.code, why.err)
	assert.Equal(t, "spec.dnsPolicy: ClusterFirst\n  policy doesn't set it: the API server, its admission or the node's agents filled it in\n", why.out)
	why = slipway(t, "", "explain", "-n", "data101", "jupyter-alice", "--why", "containers[mongo].image")
	assert.Contains(t, why.out, "spec.containers[mongo].image: mongo:5.0.11\n")
	assert.Contains(t, why.out, "spec.containers[mongo].image: mongo:changed\n  the running pod has this value")
}
