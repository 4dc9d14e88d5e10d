package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher/api"
)

const (
	// A client that sends its headers by drops would hold a connection for ever.
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	// maxHeaders has room for a thousand groups in a query.
	maxHeaders = 1 << 20
	// socketMode: the owner and the group of the folder that hub and launcher share.
	socketMode = 0o660
)

// ways are those by which hubs come in.
type ways struct {
	all []way
	log logr.Logger
	// certificate is nil where nothing is served by TLS.
	certificate *certs.Serving
}

type way struct {
	handler  *api.Handler
	server   *http.Server
	listener net.Listener
}

// openWays listens, and serves nobody yet.
func openWays(cluster *rest.Config, launch api.Launcher, log logr.Logger, o *options) (*ways, error) {
	w := &ways{log: log}
	if o.socket != "" {
		listener, err := listenSocket(o.socket)
		if err != nil {
			return nil, err
		}
		w.add(listener, launch, api.Local(o.hubs))
	}
	if o.bindAddress == "" {
		return w, nil
	}
	accounts, err := o.hubsOfAccounts()
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	reviews, err := authenticationclient.NewForConfig(cluster)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a client for token reviews: %w", err), w.close())
	}
	listener, err := net.Listen("tcp", o.bindAddress) //nolint:noctx // it listens for as long as the program runs
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--bind-address: %w", err), w.close())
	}
	w.certificate = certs.NewServing(o.tlsCertDir, log)
	var config tls.Config
	w.certificate.TLS(&config)
	w.add(tls.NewListener(listener, &config), launch, api.NewTokens(reviews.TokenReviews(), accounts))
	return w, nil
}

func (w *ways) add(listener net.Listener, launch api.Launcher, callers api.Callers) {
	handler := api.New(api.Options{Launcher: launch, Callers: callers, Log: w.log.WithName("api")})
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	w.all = append(w.all, way{handler: handler, listener: listener, server: &http.Server{
		Handler: handler, Protocols: protocols, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaders,
		// What it says is about clients: handshakes that they break off.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(w.log.WithName("http")), slog.LevelDebug),
	}})
}

// listenSocket takes the place of a socket that a launcher left which was killed, and of no other file.
func listenSocket(path string) (net.Listener, error) {
	about, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("--socket: %w", err)
	case about.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("--socket: %s is there and is no socket", path)
	default:
		if c, err := net.Dial("unix", path); err == nil { //nolint:noctx // a local connect waits for nobody
			return nil, errors.Join(fmt.Errorf("--socket: somebody serves on %s already", path), c.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("--socket: remove what an earlier launcher left: %w", err)
		}
	}
	listener, err := net.Listen("unix", path) //nolint:noctx // it listens for as long as the program runs
	if err != nil {
		return nil, fmt.Errorf("--socket: %w", err)
	}
	// Until here only the owner may connect, unless the umask is of the strangest.
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("--socket: %w", err), listener.Close())
	}
	return listener, nil
}

// serve ends with drain.
func (w *ways) serve() error {
	var group errgroup.Group
	for _, way := range w.all {
		w.log.Info("serving", "on", way.listener.Addr().String())
		group.Go(func() error {
			if err := way.server.Serve(way.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve on %s: %w", way.listener.Addr(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// drain takes no more requests, ends progress streams, and waits for the rest.
func (w *ways) drain(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var group sync.WaitGroup
	for _, way := range w.all {
		group.Go(func() {
			way.handler.Drain()
			if err := way.server.Shutdown(ctx); err != nil {
				w.log.Info("requests were cut off", "why", err.Error())
				_ = way.server.Close() // it ends either way
			}
		})
	}
	group.Wait()
}

func (w *ways) close() error {
	var errs []error
	for _, way := range w.all {
		if err := way.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// loadCertificate follows the certificate's files, where there are any, until ctx ends.
func (w *ways) loadCertificate(ctx context.Context) error {
	if w.certificate == nil {
		return nil
	}
	return w.certificate.Start(ctx)
}

// certificateReady is for the manager's readiness.
func (w *ways) certificateReady(r *http.Request) error {
	if w.certificate == nil {
		return nil
	}
	return w.certificate.Ready(r)
}
