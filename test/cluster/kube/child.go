package kube

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// logTailBytes is how much of a program's log an error shows.
const logTailBytes = 4 << 10

// errPortTaken is the failure of a program whose port another program has.
var errPortTaken = errors.New("another program has the port")

// child is a started program that does not outlive this process.
type child struct {
	name   string
	pid    int
	log    string // path of its log; empty where it has none
	exited chan struct{}
	err    error // how it ended; set when exited is closed
}

// command is a program that child.stop ends, and its process group with it. A
// context would kill the one process, and at once.
func command(path string, args ...string) *exec.Cmd {
	return exec.Command(path, args...) //nolint:noctx // what to run is this package's own choice
}

// startChild starts cmd in a process group of its own, so that an interrupt
// typed on the terminal reaches it only through us and the order of stopping is
// ours. Where this process dies, the child gets lastSignal (on Linux).
func startChild(cmd *exec.Cmd, lastSignal syscall.Signal) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr, lastSignal)
	p := &child{name: filepath.Base(cmd.Path), exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread that started the child
		// ends, and not the process. So the thread is kept for as long as the
		// child lives, and given up with this goroutine.
		runtime.LockOSThread()
		err := cmd.Start()
		if err != nil {
			started <- err
			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// stop sends the child's process group the signal, then SIGKILL where the child
// is still there after grace. It returns nil when the child is gone, however it
// ended.
func (p *child) stop(signal syscall.Signal, grace time.Duration) error {
	for _, s := range []syscall.Signal{signal, syscall.SIGKILL} {
		select {
		case <-p.exited:
			return nil
		default:
		}
		// An error says that the group has just gone.
		_ = syscall.Kill(-p.pid, s)
		select {
		case <-p.exited:
			// Its own children may not have listened.
			_ = syscall.Kill(-p.pid, syscall.SIGKILL)
			return nil
		case <-time.After(grace):
		}
	}
	return fmt.Errorf("%s (process %d) is still there after it was killed", p.name, p.pid)
}

// failure says how the child ended by itself, with the end of its log.
func (p *child) failure() error {
	tail := p.logTail()
	ending := "ended by itself"
	if p.err != nil {
		ending = "ended by itself: " + p.err.Error()
	}
	err := fmt.Errorf("%s %s; the end of its log:\n%s", p.name, ending, tail)
	if strings.Contains(tail, "address already in use") {
		err = fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return err
}

// logTail returns the last lines of the child's log, or why there are none.
func (p *child) logTail() string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-logTailBytes), io.SeekStart)
	}
	tail, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(tail))
}
