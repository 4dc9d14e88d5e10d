//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// browser is a headless one, which does what users do; see browser/browser.py.
type browser struct {
	in  io.Writer
	out *bufio.Reader
}

// seen is what a user saw.
type seen struct {
	// URL is that of the page.
	URL string
	// Status is the HTTP status of a visited page, and Text what it said.
	Status int
	Text   string
	// Profiles are those of the form: the choices of each of their options, by their keys.
	Profiles map[string]map[string][]string
	// Progress are the messages while a server was starting, and Refused is why it didn't.
	Progress []string
	Refused  string
	// Printed is what a cell printed.
	Printed string
	Error   string
}

// step is what a user does, without the user and the verb.
type step map[string]any

// picturesFolder is where the pictures of a run go. E2E_PICTURES names another, such as launcher/jupyterhub/docs.
func picturesFolder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("E2E_PICTURES")
	if folder == "" {
		folder = root + "/test/results/pictures"
	}
	folder, err := filepath.Abs(folder)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	return folder
}

// browse starts a browser for the site with that URL.
func browse(t *testing.T, url string) *browser {
	t.Helper()
	find := exec.CommandContext(t.Context(), "python3", root+"/tools/pyenv.py", "browser/requirements.txt")
	find.Stderr = os.Stderr
	bin, err := find.Output()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(bin)), "python"), "browser/browser.py", url, picturesFolder(t))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait()
	})
	return &browser{in: in, out: bufio.NewReader(out)}
}

// do lets a user do something, and fails where he doesn't see what comes of it.
func (b *browser) do(t *testing.T, user, verb string, how step) seen {
	t.Helper()
	line := map[string]any{"user": user, "do": verb}
	maps.Copy(line, how)
	asked, err := json.Marshal(line)
	require.NoError(t, err)
	_, err = b.in.Write(append(asked, '\n'))
	require.NoError(t, err)
	said, err := b.out.ReadBytes('\n')
	require.NoError(t, err, "the browser is gone; its last words are above")
	var answer seen
	require.NoError(t, json.Unmarshal(said, &answer))
	require.Empty(t, answer.Error, "%s: %s", user, verb)
	return answer
}
