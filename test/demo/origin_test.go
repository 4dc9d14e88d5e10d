package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &o))
	return o
}

func TestEveryLineOfTheStoredPodSaysWhoseItIs(t *testing.T) {
	sent := object(t, `{metadata: {name: p}, spec: {containers: [{name: notebook}]}}`)
	fitted := object(t, `{metadata: {name: p}, spec: {nodeSelector: {pool: users}, containers: [{name: notebook, image: i}, {name: db, image: "d:1"}]}}`)
	stored := object(t, `{metadata: {name: p}, spec: {nodeSelector: {pool: users}, priority: 0, containers: [
	  {name: notebook, image: i, terminationMessagePath: /dev/termination-log}, {name: db, image: "d:1"}]}}`)

	n := compare(stored, fitted, sent)

	marks := map[origin]string{fromHub: " ", fromPolicy: "+", fromCluster: "~"}
	var got []string
	for _, l := range n.lines(60) {
		got = append(got, marks[l.origin]+l.text)
	}
	assert.Equal(t, []string{
		" metadata: {name: p}",
		" spec:",
		"   containers:",
		"     - name: notebook",
		"+      image: i",
		"~      terminationMessagePath: /dev/termination-log",
		"+    - {name: db, image: d:1}",
		"+  nodeSelector: {pool: users}",
		"~  priority: 0",
	}, got)
}

func TestLongLinesAreBroken(t *testing.T) {
	v := object(t, `{a: {first: some longer text, second: more text}}`)
	n := compare(v, nil, nil)
	assert.Len(t, n.lines(80), 1)
	assert.Len(t, n.lines(30), 3)
}

func TestTextThatYAMLWouldReadOtherwiseIsQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "a/b.c-d": "a/b.c-d", "image:1": "image:1", "": `""`, "true": `"true"`, "80": `"80"`, "2Gi": "2Gi",
		"a: b": `"a: b"`, "{x}": `"{x}"`, "- x": `"- x"`, "id && ls": `"id && ls"`,
	} {
		assert.Equal(t, want, scalar(text))
		var back any
		require.NoError(t, yaml.Unmarshal([]byte(scalar(text)), &back))
		assert.Equal(t, text, back)
	}
}

func TestWhatIsFittedAndNotStoredIsFound(t *testing.T) {
	fitted := object(t, `{spec: {a: 1, b: {c: x}, containers: [{name: n, image: i}, {name: m}]}}`)
	stored := object(t, `{spec: {a: 1, b: {c: y}, containers: [{name: m, more: 1}]}}`)

	assert.Equal(t, []string{"spec.b.c", "spec.containers[0].name", "spec.containers[0].image"}, missing(fitted, stored, ""))
	assert.Empty(t, missing(fitted, fitted, ""))
}
