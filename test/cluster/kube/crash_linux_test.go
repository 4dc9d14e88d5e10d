package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNothingOutlivesATestProcessThatDies(t *testing.T) {
	_, err := Build(t.Context(), os.Stderr) // not while the clock of the other process runs
	require.NoError(t, err)
	for _, how := range []string{"killed", "panic"} {
		t.Run(how, func(t *testing.T) {
			victim := exec.CommandContext(t.Context(), os.Args[0])
			victim.Env = append(os.Environ(), crashVariable+"="+how)
			var stderr bytes.Buffer
			victim.Stderr = &stderr
			stdout, err := victim.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, victim.Start())

			var left remains
			require.NoError(t, json.NewDecoder(stdout).Decode(&left), "%s", &stderr)
			require.Len(t, left.PIDs, 3, "cleaner, etcd, kube-apiserver")
			if how == "killed" {
				for _, pid := range left.PIDs {
					require.True(t, running(pid), "process %d was started", pid)
				}
				require.DirExists(t, left.Dir)
				require.NoError(t, victim.Process.Kill())
			}
			require.Error(t, victim.Wait())

			requireGone(t, left)
		})
	}
}

// requireGone waits until the processes and the folder of a cluster are gone.
func requireGone(t *testing.T, left remains) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for _, pid := range left.PIDs {
			assert.False(c, running(pid), "process %d is still there", pid)
		}
		assert.NoDirExists(c, left.Dir)
	}, 20*time.Second, 20*time.Millisecond)
}

// requireNothingUnder waits until no process names a file of the folder in its
// arguments, and the folder is empty.
func requireNothingUnder(t *testing.T, dir string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
		assert.NoError(c, err)
		for _, name := range commands {
			command, _ := os.ReadFile(name) // it may just have ended
			assert.NotContains(c, string(command), dir)
		}
		files, err := os.ReadDir(dir)
		assert.NoError(c, err)
		assert.Empty(c, files)
	}, 20*time.Second, 20*time.Millisecond)
}

// running says whether a process is there and not merely waits to be reaped by
// init, which some containers don't have.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// 12 (the (name) of it) S …
	_, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')'):]), " ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}
