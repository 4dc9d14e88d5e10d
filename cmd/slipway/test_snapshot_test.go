package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	aliceAtHome = `- {name: alice, identity: {user: alice, env: {JUPYTERHUB_USER: secret}}, namespace: {name: home}, expect: {exactPod: `
	bobAtHome   = `- {name: bob, identity: {user: bob}, namespace: {name: home}, expect: {exactPod: `
)

func TestUpdateWritesTheSnapshotsThatDiffer(t *testing.T) {
	folder := testFolder(t, aliceAtHome+"new/alice.yaml}}\n"+bobAtHome+`testdata/bob.json, pod: {metadata: {name: jupyter-bob}}}}
- {name: carl, identity: {user: carl}, namespace: {name: home}, expect: {exactPod: testdata/carl.yaml, pod: {metadata: {name: other}}}}
- {name: dora, identity: {user: dora}, expect: {exactPod: testdata/dora.yaml}}`)
	at := func(name string) string { return filepath.Join(folder, name) }
	write(t, at("testdata/bob.json"), `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "old", "namespace": "home"}}`)

	got := slipway(t, "", "test", folder)
	assert.Equal(t, exitInvalid, got.code)
	assert.Contains(t, got.err, at("new/alice.yaml")+": no such file or directory: write it with --update")
	assert.NoFileExists(t, at("new/alice.yaml"))

	got = slipway(t, "", "test", "--update", folder)
	assert.Equal(t, exitDenied, got.code, "what else a test expects isn't updated")
	assert.Contains(t, got.out, "2 passed, 2 failed")
	assert.Contains(t, got.out, "metadata.name\n      want  other\n      got   jupyter-carl")
	assert.NotContains(t, got.out, "jupyter-bob")
	assert.Equal(t, "wrote "+at("new/alice.yaml")+"\nwrote "+at("testdata/bob.json")+"\nwrote "+at("testdata/carl.yaml")+"\n", got.err)
	assert.NoFileExists(t, at("testdata/dora.yaml"), "who is denied has no pod")

	alice := read(t, at("new/alice.yaml"))
	assert.Contains(t, alice, "name: jupyter-alice\n")
	assert.NotContains(t, alice, "namespace:", "the test names it")
	assert.NotContains(t, alice, "slipway.dev/applied", "it changes with every change of a policy")
	assert.NotContains(t, alice, "secret\n", "values of the environment stand nowhere")
	bob := read(t, at("testdata/bob.json"))
	assert.True(t, strings.HasPrefix(bob, "{\n  \"apiVersion\": \"v1\",\n"), bob)
	assert.Contains(t, bob, `"namespace": "home"`, "what the file says is kept")

	got = slipway(t, "", "test", "--update", "--run", "alice|bob", folder)
	assert.Equal(t, exitGood, got.code, got.out)
	assert.Empty(t, got.err, "what is right isn't written again")
	require.NoError(t, os.Remove(at("new/alice.yaml")))
	assert.Equal(t, exitGood, slipway(t, "", "test", "--update", "--run", "alice", folder).code)
	assert.Equal(t, alice, read(t, at("new/alice.yaml")), "the same bytes each time")
}

func TestUpdateLeavesASnapshotThatPassesAsItIsWritten(t *testing.T) {
	folder := testFolder(t, aliceAtHome+"testdata/alice.yaml}}")
	file := filepath.Join(folder, "testdata", "alice.yaml")
	require.Equal(t, exitGood, slipway(t, "", "test", "--update", folder).code)
	mine := "# Looked at by hand.\n" + read(t, file)
	write(t, file, mine)
	got := slipway(t, "", "test", "--update", folder)
	assert.Equal(t, exitGood, got.code, got.out)
	assert.Empty(t, got.err)
	assert.Equal(t, mine, read(t, file))
}

func TestUpdateOfAListChangesItsPodAlone(t *testing.T) {
	folder := testFolder(t, aliceAtHome+"testdata/alice.yaml}}")
	file := filepath.Join(folder, "testdata", "alice.yaml")
	rendered := slipway(t, "", "render", "-f", filepath.Join(folder, "home.yaml"), "-n", "home", "--user", "alice")
	require.Equal(t, exitGood, rendered.code, rendered.err)
	write(t, file, strings.ReplaceAll(rendered.out, "minimal-notebook", "other-notebook"))
	got := slipway(t, "", "test", "--update", folder)
	assert.Equal(t, exitGood, got.code, got.out+got.err)
	assert.Contains(t, read(t, file), "minimal-notebook")
	_, claim, _ := strings.Cut(rendered.out, "kind: PersistentVolumeClaim\n")
	assert.True(t, strings.HasSuffix(read(t, file), claim))
}

func TestOneSnapshotIsOnePod(t *testing.T) {
	folder := testFolder(t, aliceAtHome+"testdata/both.yaml}}\n"+bobAtHome+"testdata/both.yaml}}")
	got := slipway(t, "", "test", "--update", folder)
	assert.Equal(t, exitInvalid, got.code)
	assert.Contains(t, got.err, `both.yaml: expected by test "alice" of `)
	assert.Contains(t, got.err, "give each a file of its own")
	assert.NoFileExists(t, filepath.Join(folder, "testdata", "both.yaml"))
}

func TestASnapshotIsNoPolicy(t *testing.T) {
	folder := testFolder(t, aliceAtHome+"alice.yaml}}")
	got := slipway(t, "", "test", "--update", folder)
	assert.Equal(t, exitInvalid, got.code)
	assert.Contains(t, got.err, "tests[0].expect.exactPod: "+folder+"/alice.yaml: lies in a folder of policies")
	assert.Contains(t, got.err, "put it into one below, as "+folder+"/testdata/alice.yaml")
}

func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(data)
}
