package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestASocketIsForItsOwnerAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenSocket(path)
	require.NoError(t, err)
	about, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(socketMode), about.Mode().Perm())
	require.NoError(t, l.Close())
	assert.NoFileExists(t, path)
}

func TestASocketThatWasLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false) // as one that was killed
	require.NoError(t, left.Close())
	l, err := listenSocket(path)
	require.NoError(t, err)

	_, err = listenSocket(path)
	require.ErrorContains(t, err, "somebody serves on")
	require.NoError(t, l.Close())

	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = listenSocket(path)
	require.ErrorContains(t, err, "is no socket")
	assert.FileExists(t, path)
}
