package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// front is a Service: it passes connections on, in turn, to the replicas that are ready. It doesn't look into them.
type front struct {
	port int

	mu       sync.Mutex
	replicas []*replica
	ready    []*replica
	turn     int
}

func openFront(t *testing.T) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &front{port: l.Addr().(*net.TCPAddr).Port}
	stop := make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		_ = l.Close()
	})
	go f.probe(stop)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.pass(conn)
		}
	}()
	return f
}

func (f *front) add(r *replica) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = append(f.replicas, r)
}

func (f *front) remove(r *replica) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = slices.DeleteFunc(f.replicas, func(other *replica) bool { return other == r })
}

// probe finds out who is ready, as kubelet does, only more often.
func (f *front) probe(stop <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		f.mu.Lock()
		replicas := slices.Clone(f.replicas)
		f.mu.Unlock()
		var ready []*replica
		for _, r := range replicas {
			got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", r.Health))
			if err != nil {
				continue
			}
			got.Body.Close()
			if got.StatusCode == http.StatusOK {
				ready = append(ready, r)
			}
		}
		f.mu.Lock()
		f.ready = ready
		f.mu.Unlock()
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// knows says whether a replica gets connections.
func (f *front) knows(r *replica) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.ready, r)
}

func (f *front) next() *replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ready) == 0 {
		return nil
	}
	f.turn++
	return f.ready[f.turn%len(f.ready)]
}

func (f *front) pass(conn net.Conn) {
	defer conn.Close()
	r := f.next()
	if r == nil {
		return
	}
	behind, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.Port))
	if err != nil {
		return
	}
	defer behind.Close()
	go func() {
		_, _ = io.Copy(behind, conn)
		_ = behind.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, behind)
}

// certificate is the one that the replica shows.
func (r *replica) certificate() (*x509.Certificate, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", fmt.Sprintf("127.0.0.1:%d", r.Port), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}
