package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEachCommandHasAManualPage(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1767225600")
	folder := filepath.Join(t.TempDir(), "man")
	got := slipway(t, "", "docs", "man", folder)
	require.Equal(t, exitGood, got.code, got.err)
	eachCommand(newRoot(streams{}), func(cmd *cobra.Command) {
		page := read(t, filepath.Join(folder, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"))
		assert.Contains(t, page, `"Jan 2026" "Slipway unknown"`)
		assert.Contains(t, page, ".SH EXAMPLE\n", cmd.CommandPath())
		assert.NotContains(t, page, "cobra")
	})
	assert.Contains(t, read(t, filepath.Join(folder, "slipway-test.1")), "\n.EX\n  policies: [course.yaml]", "a test file's lines stay lines")
	assert.NoFileExists(t, filepath.Join(folder, "slipway-docs.1"))
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	again := t.TempDir()
	require.Equal(t, exitGood, slipway(t, "", "docs", "man", again).code)
	for _, f := range files {
		assert.Equal(t, read(t, filepath.Join(folder, f.Name())), read(t, filepath.Join(again, f.Name())), "the same bytes for a release")
	}
}

func TestThePageAboutCommandsHasThemAll(t *testing.T) {
	got := slipway(t, "", "docs", "markdown")
	require.Equal(t, exitGood, got.code, got.err)
	eachCommand(newRoot(streams{}), func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		assert.Contains(t, got.out, "- [`"+name+"`](#"+strings.ReplaceAll(name, " ", "-")+"): ")
		assert.Contains(t, got.out, "\n## `"+name+"`\n")
		if !cmd.HasSubCommands() {
			assert.Contains(t, got.out, "```text\n"+cmd.UseLine()+"\n```\n")
		}
		for _, flag := range flagsOf(cmd) {
			assert.Contains(t, got.out, "--"+flag.Name, name)
		}
	})
	assert.Equal(t, strings.Count(got.out, "```text\n"), strings.Count(got.out, "\n```\n"), "each block ends")
	assert.Contains(t, got.out, "```text\npolicies: [course.yaml] ")
	assert.NotRegexp(t, "(?m)^  - name: students", got.out)
}
