package apiserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// Where the policies are that nobody may write; the comments at the start of each file say why, as PATH: SENTENCE.
const (
	brokenPolicies = "../../policy/testdata/broken"
	schemaPolicies = "../../policy/testdata/schema"
)

// Whoever writes such a policy hears the same from the API server and from the command line.
func TestBrokenPoliciesAreRefusedByTheAPIServerAndTheCommandLineAlike(t *testing.T) {
	w := world.ForTest(t)
	slipway := commandLine(t)
	for _, file := range yamlFiles(t, brokenPolicies+"/*") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			ns := w.Namespace(t)
			want, before, last := brokenPolicy(t, file, ns)
			if len(before) > 0 {
				w.Put(t, ns, before...)
			}
			err := w.TryPut(t, ns, last)
			status, is := errors.AsType[*apierrors.StatusError](err)
			require.True(t, is, "not refused: %v", err)
			assert.True(t, apierrors.IsInvalid(err), err)
			assert.Contains(t, err.Error(), "Slipway PolicyInvalid: ")
			var got []string
			for _, c := range status.ErrStatus.Details.Causes {
				assert.Equal(t, metav1.CauseType(policy.PolicyInvalid), c.Type)
				got = append(got, c.Field+": "+c.Message)
			}
			assert.Equal(t, want, got, "the API server")
			assert.Equal(t, want, slipway.refusal(t, ns, before, last), "the command line")
		})
	}
}

// What is refused for the sake of the pod is what an API server would refuse in the end: here it gets the chance.
func TestPodsOfBrokenPoliciesAreRefusedWhereNobodyJudgedThose(t *testing.T) {
	w := world.ForTest(t)
	for _, file := range yamlFiles(t, brokenPolicies+"/pod-*") {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if name == "pod-claim-without-size" {
			continue // the pod is good, and waits for ever for a claim that can't be made
		}
		t.Run(name, func(t *testing.T) {
			ns := w.Namespace(t)
			_, before, last := brokenPolicy(t, file, ns)
			w.PutUnjudged(t, ns, append(append([]string{world.HubLaunches}, before...), last)...)
			_, err := w.Launch(t, ns, nil)
			assert.Error(t, err)
		})
	}
}

// The schema refuses these before the webhook is asked, in words of its own; the command line has none and says the same by itself.
func TestWhatTheSchemaRefusesTheCommandLineRefuses(t *testing.T) {
	w := world.ForTest(t)
	slipway := commandLine(t)
	ns := w.Namespace(t)
	for _, file := range yamlFiles(t, schemaPolicies+"/*") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			want, before, last := brokenPolicy(t, file, ns)
			// As kubectl does: with strict validation of fields.
			_, err := w.Cluster.Kubectl(t.Context(), strings.NewReader("apiVersion: slipway.dev/v1alpha1\n"+last), "apply", "-f", "-")
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "policy.slipway.dev", "it belongs to the other table")
			assert.Equal(t, want, slipway.refusal(t, ns, before, last))
		})
	}
}

func yamlFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern + ".yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// brokenPolicy reads a file: why its last policy is refused, the policies that are there before, and the last.
func brokenPolicy(t *testing.T, file, namespace string) (want, before []string, last string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	text := strings.ReplaceAll(string(data), "NAMESPACE", namespace)
	for strings.HasPrefix(text, "# ") {
		line, rest, _ := strings.Cut(text, "\n")
		want, text = append(want, strings.TrimPrefix(line, "# ")), rest
	}
	for doc := range strings.SplitSeq(text, "---\n") {
		before = append(before, strings.TrimPrefix(doc, "apiVersion: slipway.dev/v1alpha1\n"))
	}
	return want, before[:len(before)-1], before[len(before)-1]
}

// binary is the command line.
type binary string

func commandLine(t *testing.T) binary {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slipway")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/slipway").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary(path)
}

// refusal is what the command line says of the last of some policies, as PATH: SENTENCE.
func (b binary) refusal(t *testing.T, namespace string, before []string, last string) []string {
	t.Helper()
	const header = "apiVersion: slipway.dev/v1alpha1\n"
	text := header + strings.Join(append(before, last), "---\n"+header)
	cmd := exec.Command(string(b), "render", "-f", "-", "-n", namespace, "--namespace-label", "test="+namespace, "--user", "alice", "--hub", "main")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	failed, is := errors.AsType[*exec.ExitError](err)
	require.True(t, is, "it isn't refused: %s", out)
	assert.Equal(t, 2, failed.ExitCode())
	name := titleOf(t, last, namespace)
	var said []string
	for line := range strings.Lines(string(out)) {
		if _, found, is := strings.Cut(strings.TrimSuffix(line, "\n"), ": "+name+": "); is && strings.HasPrefix(line, "error: ") {
			said = append(said, found)
		}
	}
	require.NotEmpty(t, said, "%s", out)
	return said
}

// titleOf is how errors name a policy.
func titleOf(t *testing.T, manifest, namespace string) string {
	t.Helper()
	_, rest, _ := strings.Cut(manifest, "metadata: {name: ")
	name := rest[:strings.IndexAny(rest, ",}")]
	if strings.Contains(manifest, "kind: ClusterSpawnPolicy") {
		return "ClusterSpawnPolicy " + name
	}
	return "SpawnPolicy " + namespace + "/" + name
}
