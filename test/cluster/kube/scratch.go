package kube

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

//go:embed clean.sh
var cleanScript string

// scratch is a temporary folder that does not outlive this process, not even
// when that is killed: an etcd takes more than 60 MB, and nothing of it is of
// use later.
type scratch struct {
	dir     string // its name is that of the cluster's cgroups, too
	cleaner *exec.Cmd
	alive   io.Closer    // the cleaner's standard input
	said    bytes.Buffer // by the cleaner, where it failed
}

func newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp("", "slipway-cluster-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the cluster: %w", err)
	}
	s := &scratch{dir: dir, cleaner: command("/bin/sh", "-c", cleanScript, "clean.sh", dir)}
	s.cleaner.Stderr = &s.said
	// Out of reach of an interrupt typed on the terminal.
	s.cleaner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.alive, err = s.cleaner.StdinPipe(); err == nil {
		err = s.cleaner.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start what cleans up after the cluster: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

// remove removes the folder and everything in it, and the cgroups.
func (s *scratch) remove() error {
	_ = s.alive.Close()
	if err := s.cleaner.Wait(); err != nil {
		return fmt.Errorf("clean up after the cluster: %w: %s", err, &s.said)
	}
	return nil
}
