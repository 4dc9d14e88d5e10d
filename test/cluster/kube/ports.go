package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// loopback is the address that everything listens on.
const loopback = "127.0.0.1"

// freePorts returns n different TCP ports that nobody listened on just now.
func freePorts(ctx context.Context, n int) (ports []int, err error) {
	// All are held until all are found, so that none comes twice.
	var held []net.Listener
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		held = append(held, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
