package kube

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

//go:embed machine.sh
var machineScript string

// machine is what a node is on: mounts, processes and a network of its own,
// which end with its first process, and cgroups, which don't. So two nodes
// don't meet, and the developer's machine isn't changed by either.
type machine struct {
	first *child
}

// namespaces are those that a machine has of its own.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// startMachine starts the machine, on which everything runs that is started
// later.
func (p *plane) startMachine(ctx context.Context) error {
	cmd := p.nodeCommand("/bin/sh", "-c", machineScript, "machine.sh", p.scratch.dir, filepath.Join(p.containerd, "pause"))
	cmd.Args[0] = "machine"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	err := p.run(ctx, cmd, func(context.Context) error {
		_, err := os.Stat(p.machineDir("ready"))
		return err
	})
	if err != nil {
		return err
	}
	p.machine = &machine{first: p.children[len(p.children)-1]}
	port := strconv.Itoa(p.apiPort)
	_, err = p.Forward(ctx, p.apiPort, net.JoinHostPort(loopback, port))
	return err
}

// enter moves the calling thread, which must be locked and given up
// afterwards, into namespaces of the machine. Processes that it starts are
// there, too.
func (m *machine) enter(which int) error {
	if m == nil {
		return nil
	}
	if which&unix.CLONE_NEWNS != 0 {
		// The threads of a program share root and working folder, and a thread
		// that does cannot change its mounts.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("leave the threads of this process: %w", err)
		}
	}
	first, err := unix.PidfdOpen(m.first.pid, 0)
	if err != nil {
		return fmt.Errorf("find the machine of the node: %w", err)
	}
	defer unix.Close(first)
	if err := unix.Setns(first, which); err != nil {
		return fmt.Errorf("enter the machine of the node: %w", err)
	}
	return nil
}

// dial connects to an address in the network of the machine.
func (m *machine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	dialed := make(chan result)
	go onOwnThread(func() {
		var r result
		if r.err = m.enter(unix.CLONE_NEWNET); r.err == nil {
			// A socket belongs to the network of the thread that made it.
			r.conn, r.err = new(net.Dialer).DialContext(ctx, network, address)
		}
		dialed <- r
	})
	r := <-dialed
	return r.conn, r.err
}

// onOwnThread runs f on a thread that ends with it. The main thread of a
// process never ends, and would hold the namespaces that it is in.
func onOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		f()
		return // locked, so the thread ends
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onOwnThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}
