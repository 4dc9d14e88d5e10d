package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	data101  = "../../policy/examples/data101.yaml"
	examples = "../../policy/examples"
)

// outcome is what a command line left behind.
type outcome struct {
	code     int
	out, err string
}

func slipway(t testing.TB, stdin string, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, streams{in: strings.NewReader(stdin), out: &out, err: &err})
	return outcome{code, out.String(), err.String()}
}

func TestRenderedServersEqualTheirGoldenFiles(t *testing.T) {
	for golden, args := range map[string][]string{
		// The pod that KubeSpawner makes for the real hub of data101.yaml, but for the hub's environment.
		"data101-alice.yaml": {"-f", data101, "-n", "data101", "--user", "alice"},
		// What the platform's policy adds, takes away and fixes.
		"platform-alice.yaml": {
			"-f", examples, "-n", "data101", "--namespace-label", "tier=teaching", "--user", "alice",
			"--launcher", "jupyter/hub", "--group", "course::data101", "--env", "JUPYTERHUB_API_TOKEN=secret", "--env", "LD_PRELOAD=/tmp/x.so",
		},
		"home-named-server.yaml": {
			"-f", "testdata/home.yaml", "-n", "home", "--user", "Some.User@example.org", "--server", "My Server",
			"--env", "JUPYTERHUB_USER=Some.User@example.org", "--inline-env",
		},
		// A namespace of the user's own, and one that a team has.
		"own-alice.yaml":  {"-f", "testdata/own.yaml", "--user", "Alice@example.org"},
		"own-team-a.yaml": {"-f", "testdata/own.yaml", "--user", "bob", "--group", "team-a", "--namespace-label", "example.org/team=a"},
		"home-claim-kept.json": {
			"-f", "testdata/home.yaml", "-n", "home", "--user", "bob", "--claim", "testdata/claims.yaml", "-o", "json",
		},
	} {
		t.Run(golden, func(t *testing.T) {
			got := slipway(t, "", append([]string{"render"}, args...)...)
			require.Equal(t, exitGood, got.code, got.err)
			for line := range strings.Lines(got.err) {
				assert.Contains(t, line, "warning: ")
			}
			assertGolden(t, golden, got.out)
		})
	}
}

func TestRenderEndsWithTheExitCodeThatSaysWhy(t *testing.T) {
	const (
		alice     = "-f " + data101 + " -n data101 --user alice"
		unknown   = "apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: p}\nspec: {defaults: {imgae: x}}\n"
		nullish   = "apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: p}\nspec: {defaults: {image: null}}\n"
		mount     = "apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: p}\nspec: {defaults: {extraContainers: [{name: a, volumeMount: []}]}}\n"
		twoHubs   = "apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: p}\nspec: {hubs: [a, b]}\n"
		launchers = "apiVersion: slipway.dev/v1alpha1\nkind: ClusterSpawnPolicy\nmetadata: {name: l}\nspec: {launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]}\n"
		unbound   = "apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: p}\nspec: {}\n"
	)
	const disagreeing = launchers + "---\napiVersion: slipway.dev/v1alpha1\nkind: ClusterSpawnPolicy\nmetadata: {name: p}\nspec: {namespaceSelector: {matchLabels: {a: b}}, defaults: {namespace: a}}\n" +
		"---\napiVersion: slipway.dev/v1alpha1\nkind: ClusterSpawnPolicy\nmetadata: {name: q}\nspec: {namespaceSelector: {matchLabels: {a: c}}, defaults: {namespace: c}}\n"
	for name, c := range map[string]struct {
		args  string
		stdin string
		code  int
		err   []string // parts of standard error
	}{
		"good":                            {args: alice, code: exitGood},
		"no policy for the namespace":     {args: "-f " + data101 + " --user alice", code: exitDenied, err: []string{`Slipway NoPolicy: no policy matches hub "campus" in namespace "default"`}},
		"launcher not listed":             {args: alice + " --launcher jupyter/mallory", code: exitDenied, err: []string{"Slipway LauncherNotAllowed: SpawnPolicy data101/data101: spec.launchers: ", "jupyter:mallory"}},
		"pod with an image":               {args: alice + " --pod testdata/pod-with-image.yaml", code: exitDenied, err: []string{"Slipway SkeletonNotBare: spec.containers[notebook].image: ", "Slipway SkeletonNotBare: metadata.labels[team]: "}},
		"pod of two containers":           {args: alice + " --pod testdata/pod-two-containers.yaml", code: exitDenied, err: []string{"Slipway SkeletonNotBare: spec.containers: "}},
		"pod of another user":             {args: "-f " + data101 + " -n data101 --pod testdata/pod-labelled-bob.yaml", code: exitDenied, err: []string{"Slipway IdentityConflict: metadata.labels[hub.jupyter.org/username]: "}},
		"bare pod":                        {args: "-f " + data101 + " --pod testdata/pod-bare.yaml", code: exitGood},
		"unknown field":                   {args: "-f - --user alice", stdin: unknown, code: exitInvalid, err: []string{"standard input: ", "spec.defaults.imgae"}},
		"null":                            {args: "-f - --user alice", stdin: nullish, code: exitInvalid, err: []string{"standard input: SpawnPolicy p: spec.defaults.image: ", "unset"}},
		"misspelt pod fragment":           {args: "-f - --user alice --hub h", stdin: mount, code: exitInvalid, err: []string{"standard input: SpawnPolicy default/p: spec.defaults.extraContainers[0].volumeMount: "}},
		"errors of all files":             {args: "-f /nowhere.yaml -f - --user alice", stdin: unknown, code: exitInvalid, err: []string{"/nowhere.yaml", "spec.defaults.imgae"}},
		"folder without policies":         {args: "-f . --user alice", code: exitInvalid, err: []string{"no .yaml, .yml or .json file"}},
		"one policy twice":                {args: alice + " -f " + data101, code: exitInvalid, err: []string{"SpawnPolicy data101/data101 stands in " + data101 + " already"}},
		"which hub":                       {args: "-f - --user alice", stdin: twoHubs, code: exitInvalid, err: []string{"--hub is needed", "a, b"}},
		"no hub at all":                   {args: "-f - --user alice", stdin: unbound, code: exitInvalid, err: []string{"--hub is needed"}},
		"no user":                         {args: "-f " + data101, code: exitInvalid, err: []string{"--user is needed"}},
		"bad pairs, all of them":          {args: alice + " --env A --option =b --user-annotation c=1 --user-annotation c=2 --namespace-label x", code: exitInvalid, err: []string{`--env "A"`, `--option "=b"`, "--user-annotation c is given twice", `--namespace-label "x"`}},
		"bad launcher":                    {args: alice + " --launcher hub", code: exitInvalid, err: []string{"NAMESPACE/NAME"}},
		"policies that don't agree":       {args: "-f - --user alice --hub main", stdin: disagreeing, code: exitDenied, err: []string{"Slipway NameMismatch: metadata.namespace: policies don't agree"}},
		"bad format":                      {args: alice + " -o xml", code: exitInvalid, err: []string{"yaml and json"}},
		"unknown flag":                    {args: "--colour", code: exitInvalid, err: []string{"unknown flag: --colour"}},
		"argument too many":               {args: "alice", code: exitInvalid, err: []string{"alice"}},
		"pod file that is none":           {args: alice + " --pod " + data101, code: exitInvalid, err: []string{data101}},
		"claim file that is none":         {args: alice + " --claim " + data101, code: exitInvalid, err: []string{"--claim " + data101, "SpawnPolicy"}},
		"claim file without a kind":       {args: alice + " --claim testdata/import/course.yaml", code: exitInvalid, err: []string{"--claim testdata/import/course.yaml", `holds a ""`}},
		"no cluster":                      {args: "--user alice", code: exitFailed, err: []string{"find the cluster", "-f"}},
		"pod of a hub without a notebook": {args: "-f testdata/keep.yaml --user alice --pod testdata/pod-without-notebook.yaml", code: exitDenied, err: []string{"Slipway SkeletonNotBare: spec.containers: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
			got := slipway(t, c.stdin, append([]string{"render"}, strings.Fields(c.args)...)...)
			assert.Equal(t, c.code, got.code, got.err)
			for _, part := range c.err {
				assert.Contains(t, got.err, part)
			}
			if c.code != exitGood {
				assert.Empty(t, got.out, "standard output is for machines")
			}
		})
	}
}

func TestWarningsStayOutOfTheMachineOutput(t *testing.T) {
	got := slipway(t, "", strings.Fields("render -f testdata/strip.yaml --user alice --pod testdata/pod-with-image.yaml")...)

	require.Equal(t, exitGood, got.code, got.err)
	assert.Contains(t, got.err, "warning: ")
	assert.Contains(t, got.err, "spec.containers[notebook].image")
	var list struct{ Kind string }
	require.NoError(t, yaml.UnmarshalStrict([]byte(got.out), &map[string]any{}))
	require.NoError(t, yaml.Unmarshal([]byte(got.out), &list))
	assert.Equal(t, "List", list.Kind)
	assert.NotContains(t, got.out, "warning")
}

// With Keep, --pod is what the pod is made from: what policy doesn't speak of stays.
func TestRenderStartsFromThePodOfAHubThatKeepsIts(t *testing.T) {
	got := slipway(t, "", strings.Fields("render -f testdata/keep.yaml --pod testdata/pod-of-hub.yaml")...)
	require.Equal(t, exitGood, got.code, got.err)
	assertGolden(t, "kept-alice.yaml", got.out)
	assert.Equal(t, "warning: dropped from the pod: metadata.labels[team], spec.containers[notebook].env[LD_PRELOAD]\n", got.err)
	assert.NotContains(t, got.out+got.err, "s3cr3t")
}

// Each example of a hook begins with a command that shows it.
func TestTheCommandsOfTheExamplesWorkAsPrinted(t *testing.T) {
	files, err := filepath.Glob(examples + "/hooks/*.yaml")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.yaml") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, command, found := strings.Cut(string(text), "#   bin/slipway ")
		require.True(t, found, file)
		command, _, _ = strings.Cut(command, "\n")
		assert.Contains(t, command, "-f policy/examples/hooks/"+filepath.Base(file))
		command = strings.ReplaceAll(command, "policy/examples", examples)

		got := slipway(t, "", strings.Fields(command)...)

		assert.Equal(t, exitGood, got.code, "%s: %s", command, got.err)
		assert.Contains(t, got.out, "kind: Pod", file)
	}
}

func TestRenderPrintsTheSameBytesEveryTime(t *testing.T) {
	args := strings.Fields("render -f " + examples + " -n data101 --namespace-label tier=teaching --user alice --env JUPYTERHUB_A=1 --env JUPYTERHUB_B=2")
	first := slipway(t, "", args...)
	require.Equal(t, exitGood, first.code, first.err)
	for range 20 {
		require.Equal(t, first, slipway(t, "", args...))
	}
}

func TestPolicyTestsInAFolderAreNoPolicies(t *testing.T) {
	folder := t.TempDir()
	policy, err := os.ReadFile(data101)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "data101.yaml"), policy, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "data101_test.yaml"), []byte("expect: {}"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "README.md"), []byte("# hello"), 0o600))

	got := slipway(t, "", "render", "-f", folder, "-n", "data101", "--user", "alice")

	assert.Equal(t, exitGood, got.code, got.err)
}
