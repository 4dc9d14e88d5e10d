package fleet

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// address is what net.Dial takes.
type address struct{ network, at string }

// front is a Service: it passes connections on to programs, in turn, and doesn't look into them. As kube-proxy for a while, it
// doesn't know which of them were killed.
type front struct {
	listener net.Listener
	behind   []address
	turn     atomic.Uint32
}

// openFront opens one until the test is over.
func openFront(t *testing.T, at address, behind []address) (*front, error) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), at.network, at.at)
	if err != nil {
		return nil, fmt.Errorf("open a Service: %w", err)
	}
	f := &front{listener: listener, behind: behind}
	t.Cleanup(func() { _ = listener.Close() })
	go f.serve(t.Context())
	return f, nil
}

func (f *front) port() int { return f.listener.Addr().(*net.TCPAddr).Port }

func (f *front) serve(ctx context.Context) {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		go f.pass(ctx, conn)
	}
}

// pass copies both ways until either side is done.
func (f *front) pass(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	to := f.behind[int(f.turn.Add(1))%len(f.behind)]
	behind, err := new(net.Dialer).DialContext(ctx, to.network, to.at)
	if err != nil {
		return
	}
	defer behind.Close()
	done := make(chan struct{}, 2)
	for _, ends := range [][2]net.Conn{{conn, behind}, {behind, conn}} {
		go func() {
			_, _ = io.Copy(ends[0], ends[1]) // either side may be killed
			done <- struct{}{}
		}()
	}
	<-done
}
