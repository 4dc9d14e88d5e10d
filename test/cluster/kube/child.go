package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	state  *os.ProcessState
}

// command is a program that child.stop ends, and its process group with it. A
// context would kill the one process, and at once.
func command(path string, args ...string) *exec.Cmd {
	return exec.Command(path, args...) //nolint:noctx // what to run is this package's own choice
}

// startChild starts cmd in a process group of its own, so that an interrupt
// typed on the terminal reaches it only through us and the order of stopping is
// ours. Where this process dies, the child gets lastSignal (on Linux). It runs
// on the machine, or, where that is nil, on the developer's.
func startChild(cmd *exec.Cmd, lastSignal syscall.Signal, on *machine) (*child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if on == nil { // what is on a machine dies with that
		dieWithParent(cmd.SysProcAttr, lastSignal)
	}
	p := &child{name: filepath.Base(cmd.Args[0]), exited: make(chan struct{})}
	started := make(chan error)
	// The kernel sends the signal when the thread that started the child ends,
	// and not the process. So the thread is kept for as long as the child lives.
	go onOwnThread(func() {
		err := on.enter(namespaces)
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			started <- err
			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
		p.state = cmd.ProcessState
		close(p.exited)
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// runToEnd runs a command and returns what it printed. Where it fails, the
// error holds what it said. When ctx ends, so does the command.
func runToEnd(ctx context.Context, cmd *exec.Cmd, on *machine) (stdout string, err error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = stopGrace
	running, err := startChild(cmd, syscall.SIGKILL, on)
	if err != nil {
		return "", err
	}
	select {
	case <-running.exited:
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), running.stop(syscall.SIGTERM))
	}
	if running.err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(append([]string{running.name}, cmd.Args[1:]...), " "),
			running.err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// stop sends the child's process group the signal, then SIGKILL where the child
// is still there after stopGrace. It returns nil when the child is gone, however it
// ended.
func (p *child) stop(signal syscall.Signal) error {
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
		case <-time.After(stopGrace):
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
