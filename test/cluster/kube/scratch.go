package kube

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// cleaner waits until its standard input ends, which is when we close it or
// die, then removes the folder. The second attempt is for a program that was
// still writing into the folder while it was killed.
const cleaner = `read -r _; rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }`

// scratch is a temporary folder that does not outlive this process, not even
// when that is killed: an etcd takes more than 60 MB, and nothing of it is of
// use later.
type scratch struct {
	dir     string
	cleaner *exec.Cmd
	alive   io.Closer // the cleaner's standard input
}

func newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp("", "slipway-cluster-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the cluster: %w", err)
	}
	s := &scratch{dir: dir, cleaner: command("/bin/sh", "-c", cleaner, "sh", dir)}
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

// remove removes the folder and everything in it.
func (s *scratch) remove() error {
	err := os.RemoveAll(s.dir)
	_ = s.alive.Close()
	return errors.Join(err, s.cleaner.Wait())
}
