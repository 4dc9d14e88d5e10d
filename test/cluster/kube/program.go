package kube

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Program is one that a test started. It doesn't outlive this process.
type Program struct{ child *child }

// StartProgram starts a program whose output is appended to a log.
func StartProgram(cmd *exec.Cmd, log string) (*Program, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of a program: %w", err)
	}
	defer out.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = out, out
	started, err := startChild(cmd, syscall.SIGKILL, nil)
	if err != nil {
		return nil, err
	}
	started.log = log
	return &Program{child: started}, nil
}

// PID is its process id, and that of its process group.
func (p *Program) PID() int { return p.child.pid }

// Exited is closed when it has ended.
func (p *Program) Exited() <-chan struct{} { return p.child.exited }

// Failure says how it ended by itself, with the end of its log.
func (p *Program) Failure() error { return p.child.failure() }

// LogTail is the end of its log.
func (p *Program) LogTail() string { return p.child.logTail() }

// Kill ends it and its children by SIGKILL, and returns when it is gone.
func (p *Program) Kill() error { return p.child.stop(syscall.SIGKILL) }

// Stop ends it by SIGTERM, and by SIGKILL where it is still there after some seconds.
func (p *Program) Stop() error { return p.child.stop(syscall.SIGTERM) }

// Usage is what the kernel counted of a program that has ended: the processor time of all its threads, and the most memory that
// was its own at one time. It waits for the end.
func (p *Program) Usage() *syscall.Rusage {
	<-p.child.exited
	usage, _ := p.child.state.SysUsage().(*syscall.Rusage)
	return usage
}
