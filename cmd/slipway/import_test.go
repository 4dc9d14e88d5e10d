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

// assertGolden compares with a file of testdata.
func assertGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
			assertGolden(t, "import/"+name+".policy.yaml", got.out)
			assertGolden(t, "import/"+name+".findings.txt", got.err)

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

func TestStrictFailsWhereASettingIsLost(t *testing.T) {
	got := slipway(t, "hub: {existingSecret: s}", "import", "z2jh", "-f", "-", "--strict")
	assert.Equal(t, exitDenied, got.code)
	assert.Contains(t, got.err, "1 setting(s) couldn't be mapped")
	assert.NotEmpty(t, got.out, "the policy is of use all the same")

	got = slipway(t, "", "import", "z2jh", "-f", "-", "--strict")
	assert.Equal(t, exitGood, got.code, "warnings and notes lose nothing")
}

// The values are good, and what they ask for isn't built: whoever applies the policy must not find out by the first login.
func TestAPolicyThatDeniesEveryServerIsWarnedOf(t *testing.T) {
	for config, want := range map[string]string{
		"{extra_pod_config: {priority: 5}}":                              "warning: in the policy, spec.defaults.extraPodConfig.priority: ",
		"{extra_containers: [{name: a, image: b}, {name: a, image: b}]}": "warning: in the policy, spec.defaults.extraContainers[1]: ",
		"{extra_containers: [{name: notebook, image: b}]}":               "warning: in the policy, spec.containers: ",
	} {
		t.Run(config, func(t *testing.T) {
			got := slipway(t, "hub: {config: {KubeSpawner: "+config+"}}", "import", "z2jh", "-f", "-")
			require.Equal(t, exitGood, got.code, got.err)
			assert.Contains(t, got.err, want)
			assert.Equal(t, 1, strings.Count(got.err, "until then it denies every server"))
		})
	}
}

func TestNothingIsPrintedForInvalidInput(t *testing.T) {
	for name, c := range map[string]struct {
		stdin, want string
		args        []string
	}{
		"tabs":              {"a:\n\tb: 1\n", "error: standard input:2: is no YAML", []string{"z2jh", "-f", "-"}},
		"unknown value":     {"singleuser: {x: 1}", "error: standard input:1: singleuser.x: the chart has no such value", []string{"z2jh", "-f", "-"}},
		"list for a map":    {"singleuser: {extraLabels: [a]}", "error: standard input:1: singleuser.extraLabels: must be a map, not a list", []string{"z2jh", "-f", "-"}},
		"map for a list":    {"singleuser: {initContainers: {a: {name: a}}}", "error: standard input:1: singleuser.initContainers: must be a list, not a map", []string{"z2jh", "-f", "-"}},
		"placeholder":       {"singleuser:\n  extraEnv: {A: '{nope}'}", "error: standard input:2: singleuser.extraEnv.A: unknown placeholder {nope}", []string{"z2jh", "-f", "-"}},
		"one slug twice":    {"singleuser:\n  profileList:\n  - {display_name: A}\n  - {display_name: a}", `error: standard input:4: singleuser.profileList[1]: has the slug "a", as singleuser.profileList[0] has`, []string{"z2jh", "-f", "-"}},
		"regex":             {"singleuser: {profileList: [{display_name: A, profile_options: {o: {choices: {c: {}}, unlisted_choice: {enabled: true, validation_regex: '['}}}}]}", "validation_regex: is no regular expression", []string{"z2jh", "-f", "-"}},
		"size":              {"singleuser: {memory: {limit: 4 Gigs}}", "singleuser.memory.limit: must be a size", []string{"z2jh", "-f", "-"}},
		"no file":           {"", "error: -f FILE is needed", []string{"z2jh"}},
		"file not found":    {"", "no such file", []string{"z2jh", "-f", "nowhere.yaml"}},
		"a folder":          {"", "is a folder", []string{"z2jh", "-f", toImport}},
		"users not found":   {"", "no such file", []string{"z2jh", "-f", "-", "--users", "nowhere.txt"}},
		"chart version":     {"", `chart version "x"`, []string{"z2jh", "-f", "-", "--chart-version", "x"}},
		"argument":          {"", "unknown command", []string{"z2jh", "values.yaml"}},
		"import what":       {"", "which command of slipway import?", nil},
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
	assertGolden(t, "import/jupyterhub_config.policy.yaml", got.out)
	folder, err := filepath.Abs(toImport)
	require.NoError(t, err)
	assertGolden(t, "import/jupyterhub_config.findings.txt", strings.ReplaceAll(got.err, folder+"/", ""))

	got = slipway(t, "", "import", "kubespawner", "-f", toImport+"/jupyterhub_config.py", "--python", python, "--strict")
	assert.Equal(t, exitDenied, got.code)
}

func TestWhatAConfigurationSaysInVainIsReported(t *testing.T) {
	const config = `def choose(spawner):
    return []
async def prepare(spawner):
    pass
c.KubeSpawner.profile_list = choose
c.KubeSpawner.pre_spawn_hook = prepare
c.KubeSpawner.environment = {"WHO": lambda spawner: spawner.user.name, "WHAT": "course"}
c.KubeSpawner.group_overrides = {"a": {"groups": ["staff"], "spawner_override": {"mem_limit": "1G"}}}
c.KubeSpawner.mem_limt = "2G"
c.KubeSpawner.service_account = "robot"
c.KubeSpawner.start_timeout = 600
`
	file := filepath.Join(t.TempDir(), "jupyterhub_config.py")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	got := slipway(t, "", "import", "kubespawner", "-f", file, "--python", hubPython(t))
	require.Equal(t, exitGood, got.code, got.err)
	assert.Contains(t, got.out, "WHAT: course")
	assert.NotContains(t, got.out, "WHO")
	for _, want := range []string{
		"unmapped: profile_list: is the Python function choose (" + file + ":1)",
		"unmapped: pre_spawn_hook: is the Python function prepare (" + file + ":3)",
		"unmapped: environment.WHO: is the Python function lambda (" + file + ":7)", `environment: "{'WHO': user.name}"`,
		"unmapped: group_overrides: ",
		"warning: mem_limt: KubeSpawner has no such trait: it logs a warning and goes on; it is left out; did you mean mem_limit?",
		"warning: service_account: with a service account KubeSpawner says nothing about its token",
		"note: start_timeout: ",
	} {
		assert.Contains(t, got.err, want)
	}
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
