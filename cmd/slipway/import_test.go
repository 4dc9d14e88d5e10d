package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
)

const toImport = "testdata/import"

func assertGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(toImport, name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "%s; go test -update rewrites it", path)
}

func TestImportedPoliciesEqualTheirGoldenFiles(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing":       {"-f", toImport + "/nothing.yaml", "--release", "hub", "--chart-version", "4.4.0"},
		"nothing-3.3.8": {"-f", toImport + "/nothing.yaml", "--release", "hub", "--chart-version", "3.3.8"},
		"course":        {"-f", toImport + "/course.yaml", "--namespace", "data101", "--hub", "campus", "--name", "course", "--users", toImport + "/users.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			got := slipway(t, "", append([]string{"import", "z2jh"}, args...)...)
			require.Equal(t, exitGood, got.code, got.err)
			assertGolden(t, name+".policy.yaml", got.out)
			assertGolden(t, name+".findings.txt", got.err)

			policies, err := policy.Decode(name, []byte(got.out))
			require.NoError(t, err)
			assert.Empty(t, policy.Compile(policies).Errors())
		})
	}
}

func TestAnImportedPolicyRenders(t *testing.T) {
	imported := slipway(t, "", "import", "z2jh", "-f", toImport+"/course.yaml")
	require.Equal(t, exitGood, imported.code, imported.err)
	rendered := slipway(t, imported.out, "render", "-f", "-", "-n", "jhub", "--user", "alice", "--profile", "gpu-1x-t4")
	require.Equal(t, exitGood, rendered.code, rendered.err)
	assert.Contains(t, rendered.out, "registry.example.org/tensor:1")
}

func TestValuesOnStandardInput(t *testing.T) {
	got := slipway(t, "singleuser: {uid: 7}", "import", "z2jh", "-f", toImport+"/nothing.yaml", "-f", "-")
	require.Equal(t, exitGood, got.code, got.err)
	assert.Contains(t, got.out, "uid: 7\n")
}

func TestAPolicyThatWouldBeRefusedIsTold(t *testing.T) {
	got := slipway(t, "singleuser: {initContainers: [{name: a, image: b}, {name: a, image: c}]}", "import", "z2jh", "-f", "-")
	assert.Equal(t, exitGood, got.code)
	assert.Contains(t, got.err, "warning: spec.defaults.initContainers[1]: the policy is refused, and every server with it:")
}

func TestStrictFailsWhereASettingIsLost(t *testing.T) {
	got := slipway(t, "hub: {existingSecret: s}", "import", "z2jh", "-f", "-", "--strict")
	assert.Equal(t, exitDenied, got.code)
	assert.Contains(t, got.err, "1 setting(s) couldn't be mapped")
	assert.NotEmpty(t, got.out, "the policy is of use all the same")

	got = slipway(t, "", "import", "z2jh", "-f", "-", "--strict")
	assert.Equal(t, exitGood, got.code, "warnings and notes lose nothing")
}

func TestNothingIsPrintedForInvalidInput(t *testing.T) {
	for name, c := range map[string]struct {
		stdin, want string
		args        []string
	}{
		"tabs":              {"a:\n\tb: 1\n", "error: standard input:2: is no YAML", []string{"z2jh", "-f", "-"}},
		"unknown value":     {"singleuser: {x: 1}", "error: standard input:1: singleuser.x: the chart has no such value", []string{"z2jh", "-f", "-"}},
		"size":              {"singleuser: {memory: {limit: 4 Gigs}}", "singleuser.memory.limit: must be a size", []string{"z2jh", "-f", "-"}},
		"no file":           {"", "error: -f FILE is needed", []string{"z2jh"}},
		"file not found":    {"", "no such file", []string{"z2jh", "-f", "nowhere.yaml"}},
		"a folder":          {"", "is a folder", []string{"z2jh", "-f", toImport}},
		"users not found":   {"", "no such file", []string{"z2jh", "-f", "-", "--users", "nowhere.txt"}},
		"chart version":     {"", `chart version "x"`, []string{"z2jh", "-f", "-", "--chart-version", "x"}},
		"argument":          {"", "unknown command", []string{"z2jh", "values.yaml"}},
		"import what":       {"", "import what?", nil},
		"no configuration":  {"", "one -f FILE is needed", []string{"kubespawner"}},
		"standard input":    {"", "one -f FILE is needed", []string{"kubespawner", "-f", "-"}},
		"unknown sub-topic": {"", "unknown command", []string{"helm"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := slipway(t, c.stdin, append([]string{"import"}, c.args...)...)
			assert.Equal(t, exitInvalid, got.code, got.err)
			assert.Empty(t, got.out)
			assert.Contains(t, got.err, c.want)
		})
	}
}

// hubPython is an interpreter that has JupyterHub and KubeSpawner; it is made once on a machine, outside the checkout.
func hubPython(t *testing.T) string {
	t.Helper()
	var messages bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "python3", "../../tools/pyenv.py", "../../test/parity/requirements.txt")
	cmd.Stderr = &messages
	bin, err := cmd.Output()
	require.NoError(t, err, messages.String())
	return filepath.Join(strings.TrimSpace(string(bin)), "python")
}

func TestAConfigurationIsLoadedByPython(t *testing.T) {
	python := hubPython(t)
	got := slipway(t, "", "import", "kubespawner", "-f", toImport+"/jupyterhub_config.py", "--python", python)
	require.Equal(t, exitGood, got.code, got.err)
	assertGolden(t, "jupyterhub_config.policy.yaml", got.out)
	folder, err := filepath.Abs(toImport)
	require.NoError(t, err)
	assertGolden(t, "jupyterhub_config.findings.txt", strings.ReplaceAll(got.err, folder+"/", ""))

	got = slipway(t, "", "import", "kubespawner", "-f", toImport+"/jupyterhub_config.py", "--python", python, "--strict")
	assert.Equal(t, exitDenied, got.code)
}

func TestAConfigurationThatRaisesIsInvalid(t *testing.T) {
	python := hubPython(t)
	got := slipway(t, "", "import", "kubespawner", "-f", toImport+"/raises.py", "--python", python)
	assert.Equal(t, exitInvalid, got.code)
	assert.Empty(t, got.out)
	assert.Equal(t, "error: "+toImport+"/raises.py:2: RuntimeError: boom\n", got.err)

	wrong := filepath.Join(t.TempDir(), "wrong.py")
	require.NoError(t, os.WriteFile(wrong, []byte("c.KubeSpawner.mem_limit = '4 Gigs'\n"), 0o600))
	got = slipway(t, "", "import", "kubespawner", "-f", wrong, "--python", python)
	assert.Equal(t, exitInvalid, got.code)
	assert.Empty(t, got.out)
	assert.Contains(t, got.err, "error: "+wrong+": mem_limit: must be a size")
}

func TestWithoutItsPythonNothingCanBeDone(t *testing.T) {
	got := slipway(t, "", "import", "kubespawner", "-f", toImport+"/raises.py", "--python", "/nowhere/python")
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.err, "name a Python with --python")
}
