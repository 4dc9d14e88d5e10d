package docs

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the outputs in the documentation anew")

// copied is a copy of the repository, in which the commands of the documentation run.
type copied struct {
	folder string
	env    []string
	// looked are the commands that were looked at.
	looked map[string]struct{}
}

// copyRepository makes the copy and builds the programs in it.
func copyRepository(t *testing.T) *copied {
	t.Helper()
	c := &copied{folder: filepath.Join(t.TempDir(), "slipway"), looked: map[string]struct{}{}}
	for _, name := range files(t) {
		from, to := filepath.Join(root, name), filepath.Join(c.folder, name)
		about, err := os.Stat(from)
		require.NoError(t, err)
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o750))
		require.NoError(t, os.WriteFile(to, data, about.Mode().Perm()))
	}
	c.env = append(os.Environ(), "PATH="+filepath.Join(c.folder, "bin")+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "KUBECONFIG=/nonexistent", "NO_COLOR=1")
	// A reader has helm. Here it is the pinned one.
	helm := fmt.Sprintf("#!/bin/sh\nexec go tool -modfile=%s helm \"$@\"\n", filepath.Join(c.folder, "tools", "helm", "go.mod"))
	require.NoError(t, os.MkdirAll(filepath.Join(c.folder, "bin"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(c.folder, "bin", "helm"), []byte(helm), 0o700))
	out, err := c.run(t, "make --silent build")
	require.NoError(t, err, out)
	return c
}

// run runs a command as a reader would, and gives what both streams say.
func (c *copied) run(t *testing.T, command string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
	cmd.Dir, cmd.Env = c.folder, c.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.ReplaceAll(out.String(), c.folder+"/", ""), err
}

func TestCommandsSayWhatTheDocumentationShows(t *testing.T) {
	c := copyRepository(t)
	for _, p := range pages(t) {
		t.Run(p.name, func(t *testing.T) {
			onCluster := slices.ContainsFunc(p.blocks, func(b block) bool { return b.info == clusterBlock })
			if onCluster {
				defer c.enterCluster(t)()
			}
			c.play(t, p)
		})
	}
	t.Run("commands that aren't run are there", func(t *testing.T) {
		for _, p := range pages(t) {
			c.look(t, p)
		}
	})
}

// play runs the sessions of a page, in order.
func (c *copied) play(t *testing.T, p *page) {
	t.Helper()
	var fresh strings.Builder
	done := 0
	for _, b := range p.blocks {
		if strings.Fields(b.info)[0] != consoleBlock {
			continue
		}
		require.Contains(t, []string{consoleBlock, clusterBlock}, b.info, "%s:%d: the fence says neither", p.name, p.line(b.start))
		steps, before := session(p.text(b))
		require.Empty(t, before, "%s:%d: the block begins with no command", p.name, p.line(b.start))
		for _, s := range steps {
			got := c.check(t, fmt.Sprintf("%s:%d", p.name, p.line(b.start+s.start)-1), s)
			fresh.Write(p.source[done : b.start+s.start])
			fresh.WriteString(got)
			done = b.start + s.end
		}
	}
	fresh.Write(p.source[done:])
	if *update && fresh.String() != string(p.source) {
		require.NoError(t, os.WriteFile(filepath.Join(root, p.name), []byte(fresh.String()), 0o600))
	}
}

// check runs one command, and gives the output that the page should show.
func (c *copied) check(t *testing.T, where string, s step) string {
	t.Helper()
	got, err := c.run(t, s.command)
	if strings.HasPrefix(s.command, "make ") { // it says how it builds
		require.NoError(t, err, "%s: %s\n%s", where, s.command, got)
		return s.output
	}
	if same(s.output, got) {
		return s.output
	}
	if !*update {
		assert.Fail(t, "another output", "%s: %s\nshown:\n%s\ngot:\n%s\ngo test ./test/docs -update writes it anew", where, s.command, s.output, got)
	}
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	return got
}
