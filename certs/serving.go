// Package certs gives a server its certificate: it makes one, loads one, replaces it while the server runs, and says
// whether it is good.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// errNotLoaded is what a client's handshake fails with, and what readiness says, before the first load.
var errNotLoaded = errors.New("the serving certificate isn't loaded yet")

// retryLoad is how often Start looks for files that aren't there or don't fit each other yet. A Secret may appear in
// a mounted folder a minute after the pod has started.
const retryLoad = time.Second

// Serving is the certificate of a folder (CertFile and KeyFile), loaded anew whenever the files change. It may be
// used by many goroutines at once.
type Serving struct {
	dir     string
	now     func() time.Time
	log     logr.Logger
	watcher atomic.Pointer[certwatcher.CertWatcher]
}

// NewServing loads nothing yet: Start does.
func NewServing(dir string, log logr.Logger) *Serving {
	return &Serving{dir: dir, now: time.Now, log: log.WithName("certificate")}
}

// Start loads the certificate, waiting for its files where they aren't there or unusable, and then follows their
// changes until ctx ends.
func (s *Serving) Start(ctx context.Context) error {
	watcher := s.load(ctx)
	if watcher == nil {
		return nil
	}
	watcher.RegisterCallback(func(cert tls.Certificate) { observeServed(cert.Leaf) })
	s.watcher.Store(watcher)
	if err := watcher.Start(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("watch the serving certificate in %s: %w", s.dir, err)
	}
	return nil
}

// load gives nil when ctx ends first.
func (s *Serving) load(ctx context.Context) *certwatcher.CertWatcher {
	retry := time.NewTicker(retryLoad)
	defer retry.Stop()
	for said := ""; ; {
		watcher, err := certwatcher.New(filepath.Join(s.dir, CertFile), filepath.Join(s.dir, KeyFile))
		if err == nil {
			return watcher
		}
		if err.Error() != said { // not once a second
			said = err.Error()
			s.log.Error(err, "waiting for a serving certificate")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
		}
	}
}

// TLS configures a server to serve with this certificate.
func (s *Serving) TLS(c *tls.Config) { serveTLS(c, s.certificate) }

// serveTLS has a server serve by TLS 1.2 or, as every client of the last years asks, 1.3. HTTP/2 is off: its stream resets
// have let single clients overload servers, and the API server gains little by it.
func serveTLS(c *tls.Config, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) {
	c.MinVersion = tls.VersionTLS12
	c.NextProtos = []string{"http/1.1"}
	c.GetCertificate = certificate
}

func (s *Serving) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	watcher := s.watcher.Load()
	if watcher == nil {
		return nil, errNotLoaded
	}
	return watcher.GetCertificate(hello)
}

// Ready is nil while a certificate is loaded and valid by the clock. The request isn't used; it is there to fit a
// health endpoint.
func (s *Serving) Ready(*http.Request) error {
	cert, err := s.certificate(nil)
	if err != nil {
		return err
	}
	return validAt(cert.Leaf, s.now())
}

// Registered is nil: who trusts the files is the business of whoever writes them.
func (s *Serving) Registered(*http.Request) error { return nil }

// Authorities is empty: nobody knows them.
func (s *Serving) Authorities() string { return "" }

// Changed is nil: nothing comes.
func (s *Serving) Changed() <-chan struct{} { return nil }
