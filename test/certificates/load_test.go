package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/test/world"
)

// load is what runs while something happens to the certificates: hubs that launch, by dry runs through the API server, and
// API servers that are slow to read a changed configuration. All must be answered.
type load struct {
	launched, shaken atomic.Int64

	mu     sync.Mutex
	failed []string

	group sync.WaitGroup
	stop  context.CancelFunc
}

const (
	hubs = 2
	// slow is how late a slow API server reads configurations. It is less than what replicas give it.
	slow = 800 * time.Millisecond
)

// startLoad runs until end is called. It begins once the first create gets through.
func (r *release) startLoad(t *testing.T) *load {
	t.Helper()
	r.launches(t)
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop}
	for range hubs {
		l.group.Go(func() { l.launch(ctx, r) })
	}
	l.group.Go(func() { l.shakeHands(ctx, r) })
	return l
}

// end stops the load; nothing may have failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.group.Wait()
	t.Logf("%d dry-run creates and %d handshakes of a slow API server, %d failed", l.launched.Load(), l.shaken.Load(), len(l.failed))
	assert.Empty(t, l.failed[:min(len(l.failed), 3)])
	assert.Greater(t, l.launched.Load(), int64(20), "there was no load")
	assert.Greater(t, l.shaken.Load(), int64(20), "there was no load")
}

func (l *load) fail(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, fmt.Sprintf("%s %s: %v", time.Now().Format(time.StampMilli), what, err))
}

func (l *load) launch(ctx context.Context, r *release) {
	for ctx.Err() == nil {
		_, err := launcher.Launch(ctx, r.Hub, world.Alice, r.hub, launcher.Options{DryRun: true})
		switch {
		case ctx.Err() != nil:
		case err != nil:
			l.fail("create", err)
		default:
			l.launched.Add(1)
		}
	}
}

// shakeHands trusts what the configurations said a while ago.
func (l *load) shakeHands(ctx context.Context, r *release) {
	type reading struct {
		at      time.Time
		bundles map[string]string
	}
	var readings []reading
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		bundles, err := r.caBundles(ctx)
		if err != nil {
			if ctx.Err() == nil {
				l.fail("read the configurations", err)
			}
			return
		}
		now := time.Now()
		readings = append(readings, reading{now, bundles})
		for len(readings) > 1 && now.Sub(readings[1].at) >= slow {
			readings = readings[1:]
		}
		for name, bundle := range readings[0].bundles {
			err := r.front.shakeHands(bundle)
			switch {
			case err == nil:
				l.shaken.Add(1)
			case time.Since(readings[0].at) < propagation:
				l.fail("call by "+name, err)
			default: // this machine was busy meanwhile: no API server may be so slow
			}
		}
		<-tick.C
	}
}

func (f *front) shakeHands(trusted string) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(trusted))
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", fmt.Sprintf("127.0.0.1:%d", f.port), &tls.Config{RootCAs: roots})
	if err != nil {
		return err
	}
	return conn.Close()
}
