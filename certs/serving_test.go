package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soon is how long a test waits for what another goroutine does.
const soon = 15 * time.Second

func TestServingIsReadyOnlyWhileItsCertificateIsGood(t *testing.T) {
	noon := time.Now().Truncate(time.Second)
	pair := selfSigned(t, noon, time.Hour)
	for name, c := range map[string]struct {
		clock time.Time
		says  string // empty: ready
	}{
		"now":                       {noon, ""},
		"a clock that is slow":      {noon.Add(-50 * time.Minute), ""},
		"a clock that is far off":   {noon.Add(-2 * time.Hour), "isn't valid before"},
		"a minute before it ends":   {noon.Add(59 * time.Minute), ""},
		"a minute after it expired": {noon.Add(61 * time.Minute), "expired at"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, pair.Write(dir))
			s := NewServing(dir, logr.Discard())
			s.now = func() time.Time { return c.clock }
			require.ErrorIs(t, s.Ready(nil), errNotLoaded)
			start(t, s)
			require.Eventually(t, func() bool { return !errors.Is(s.Ready(nil), errNotLoaded) }, soon, time.Millisecond)
			if c.says == "" {
				assert.NoError(t, s.Ready(nil))
			} else {
				assert.ErrorContains(t, s.Ready(nil), c.says)
			}
		})
	}
}

func TestServingWaitsForFilesThatFitEachOther(t *testing.T) {
	dir := t.TempDir()
	s := NewServing(dir, logr.Discard())
	start(t, s)
	first, second := selfSigned(t, time.Now(), time.Hour), selfSigned(t, time.Now(), time.Hour)

	require.NoError(t, (&Pair{CA: first.CA, Cert: first.Cert, Key: second.Key}).Write(dir))
	assert.ErrorIs(t, s.Ready(nil), errNotLoaded, "a key of another certificate is no certificate")

	require.NoError(t, first.Write(dir))
	require.Eventually(t, func() bool { return s.Ready(nil) == nil }, soon, 10*time.Millisecond)
}

func TestServingTakesUpANewCertificateWithoutRestart(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, dir string, p *Pair){
		"files written over": func(t *testing.T, dir string, p *Pair) {
			t.Helper()
			require.NoError(t, p.Write(dir))
		},
		"the folder of a Secret": func(t *testing.T, dir string, p *Pair) {
			t.Helper()
			mountSecret(t, dir, "second", p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old, renewed := selfSigned(t, time.Now(), time.Hour), selfSigned(t, time.Now(), time.Hour)
			if name == "the folder of a Secret" {
				mountSecret(t, dir, "first", old)
			} else {
				require.NoError(t, old.Write(dir))
			}
			s := NewServing(dir, logr.Discard())
			start(t, s)
			address := serve(t, s)
			require.Eventually(t, func() bool { return handshake(address, old, 0) == nil }, soon, 10*time.Millisecond)
			require.Error(t, handshake(address, renewed, 0))

			replace(t, dir, renewed)
			assert.Eventually(t, func() bool { return handshake(address, renewed, 0) == nil }, soon, 10*time.Millisecond)
		})
	}
}

func TestServingRefusesOldTLSAndHTTP2(t *testing.T) {
	dir := t.TempDir()
	pair := selfSigned(t, time.Now(), time.Hour)
	require.NoError(t, pair.Write(dir))
	s := NewServing(dir, logr.Discard())
	start(t, s)
	address := serve(t, s)
	require.Eventually(t, func() bool { return handshake(address, pair, 0) == nil }, soon, 10*time.Millisecond)

	assert.NoError(t, handshake(address, pair, tls.VersionTLS12))
	assert.Error(t, handshake(address, pair, tls.VersionTLS11))

	conn, err := tls.Dial("tcp", address, clientConfig(pair, 0))
	require.NoError(t, err)
	defer conn.Close()
	assert.Equal(t, "http/1.1", conn.ConnectionState().NegotiatedProtocol)
	assert.Equal(t, uint16(tls.VersionTLS13), conn.ConnectionState().Version)
}

func selfSigned(t *testing.T, now time.Time, valid time.Duration) *Pair {
	t.Helper()
	p, err := SelfSigned([]string{"127.0.0.1"}, now, valid)
	require.NoError(t, err)
	return p
}

func start(t *testing.T, s *Serving) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
}

// serve shakes hands with everybody and gives the address where.
func serve(t *testing.T, s *Serving) string {
	t.Helper()
	config := &tls.Config{}
	s.TLS(config)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).Handshake()
				_, _ = conn.Read(make([]byte, 1)) // until the client closes
			}()
		}
	}()
	return listener.Addr().String()
}

func clientConfig(trusted *Pair, maxVersion uint16) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted.CA)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: maxVersion, NextProtos: []string{"h2", "http/1.1"}}
}

func handshake(address string, trusted *Pair, maxVersion uint16) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", address, clientConfig(trusted, maxVersion))
	if err != nil {
		return err
	}
	return conn.Close()
}

// mountSecret does what kubelet does: the files are links into ..data, which is a link that is replaced at once.
func mountSecret(t *testing.T, dir, version string, p *Pair) {
	t.Helper()
	content := filepath.Join(dir, ".."+version)
	require.NoError(t, os.Mkdir(content, 0o700))
	require.NoError(t, p.Write(content))
	link := filepath.Join(dir, "..new")
	require.NoError(t, os.Symlink(".."+version, link))
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	require.NoError(t, os.Rename(link, filepath.Join(dir, "..data")))
	if old != "" {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, old)))
		return
	}
	for _, name := range []string{CertFile, KeyFile, CAFile} {
		require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
}
