package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
)

// Forward listens on a port of the loopback address and passes connections on
// to an address in the network of the cluster with a node, as DialContext does,
// until the cluster is stopped. Port 0 is any free one.
func (c *Cluster) Forward(ctx context.Context, port int, address string) (local string, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w: %w", errPortTaken, err)
		}
		return "", fmt.Errorf("forward to %s: %w", address, err)
	}
	go func() {
		<-c.stopping
		_ = listener.Close()
	}()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go c.pass(conn, address)
		}
	}()
	return listener.Addr().String(), nil
}

// pass connects two ends until both have said all.
func (c *Cluster) pass(near net.Conn, address string) {
	defer near.Close()
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	far, err := c.DialContext(ctx, "tcp", address)
	if err != nil {
		return // and near sees that it is closed
	}
	defer far.Close()
	said := make(chan struct{})
	go func() {
		defer close(said)
		transfer(near, far)
	}()
	transfer(far, near)
	<-said
}

// transfer copies one direction and passes on that it has ended.
func transfer(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.(*net.TCPConn).CloseWrite()
}
