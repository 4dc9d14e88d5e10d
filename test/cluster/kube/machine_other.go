//go:build !linux

package kube

import (
	"context"
	"errors"
	"net"
)

// machine is what a node is on. Only Linux has what it is made of.
type machine struct{}

const namespaces = 0

var errNoMachine = errors.New("a node needs Linux; without one the control plane works here")

func (p *plane) startMachine(context.Context) error { return errNoMachine }

func (m *machine) enter(int) error {
	if m == nil {
		return nil
	}
	return errNoMachine
}

func (m *machine) dial(context.Context, string, string) (net.Conn, error) { return nil, errNoMachine }

func onOwnThread(f func()) { f() }
