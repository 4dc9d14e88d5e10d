package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMountsAreRead(t *testing.T) {
	mounts, err := readMounts(strings.NewReader(`36 35 98:0 /root /home rw,noatime master:1 - ext3 /dev/root rw
37 35 0:40 / /etc/cm ro,relatime - tmpfs none rw
`))
	require.NoError(t, err)
	assert.Equal(t, []Mount{{"/home", "ext3", false}, {"/etc/cm", "tmpfs", true}}, mounts)

	_, err = readMounts(strings.NewReader("36 35 98:0 /root\n"))
	assert.Error(t, err)
}

func TestLimitsAreReadFromBothVersionsOfCgroups(t *testing.T) {
	for name, c := range map[string]struct {
		files       map[string]string
		memory, cpu int64
	}{
		"v1": {map[string]string{
			"memory/memory.limit_in_bytes": "67108864", "cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000",
		}, 64 << 20, 500},
		"v1 without limits": {map[string]string{
			"memory/memory.limit_in_bytes": "9223372036854771712", "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000",
		}, 0, 0},
		"v2": {map[string]string{
			"cgroup.controllers": "cpu memory", "memory.max": "67108864", "cpu.max": "50000 100000",
		}, 64 << 20, 500},
		"v2 without limits": {map[string]string{
			"cgroup.controllers": "cpu memory", "memory.max": "max", "cpu.max": "max 100000",
		}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, content := range c.files {
				path = filepath.Join(root, path)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(content+"\n"), 0o600))
			}

			memory, cpu, err := readLimits(root)

			require.NoError(t, err)
			assert.Equal(t, c.memory, memory)
			assert.Equal(t, c.cpu, cpu)
		})
	}
}
