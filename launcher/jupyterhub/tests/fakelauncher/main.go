// Command fakelauncher is slipway-launcher on a cluster that is in its memory, for tests without a cluster: the real handler and the
// real library, pods that the real engine fits or denies by the policies of a folder, and a toy kubelet. It prints "ready" when it
// serves.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/launcher/api"
)

type options struct {
	socket   string
	address  string
	policies string
	hubs     string
	// namespace is the cluster's only one, and labels are its.
	namespace string
	labels    string
	account   string
	slow      time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.socket, "socket", "", "path of the unix socket to serve on")
	flag.StringVar(&o.address, "address", "", "host:port to serve on instead, without TLS or tokens: for tests of the API")
	flag.StringVar(&o.policies, "policies", "", "folder with policies, *.yaml")
	flag.StringVar(&o.hubs, "hub", "main", "hubs, with commas")
	flag.StringVar(&o.namespace, "namespace", "jupyter", "the cluster's only namespace")
	flag.StringVar(&o.labels, "namespace-labels", "", "its labels, k=v with commas")
	flag.StringVar(&o.account, "account", "system:serviceaccount:jupyter:hub", "user name of the launcher's account")
	flag.DurationVar(&o.slow, "slow", 2*time.Second, "how long an image with slow in its name takes to be pulled")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakelauncher:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options, out io.Writer) error {
	cluster, err := newCluster(ctx, o)
	if err != nil {
		return err
	}
	hubs := strings.Split(o.hubs, ",")
	launch, err := launcher.New(launcher.Config{Client: cluster.client, Dynamic: cluster.dynamic, Namespaces: []string{o.namespace}, Hubs: hubs})
	if err != nil {
		return err
	}
	handler := api.New(api.Options{Launcher: launch, Callers: api.Local(hubs)})
	listener, err := listen(o)
	if err != nil {
		return err
	}
	const headerTime = 10 * time.Second
	server := &http.Server{Handler: cluster.besides(handler), ReadHeaderTimeout: headerTime}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return launch.Run(ctx) })
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		handler.Drain()
		return server.Close()
	})
	group.Go(func() error { return announce(ctx, launch, out) })
	return group.Wait()
}

// besides has /fake/objects served beside the API.
func (c *cluster) besides(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fake/objects" {
			c.serveObjects(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

func listen(o *options) (net.Listener, error) {
	if o.address != "" {
		return net.Listen("tcp", o.address) //nolint:noctx // it listens for as long as the program runs
	}
	if err := os.Remove(o.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", o.socket) //nolint:noctx // it listens for as long as the program runs
}

// announce says when the launcher knows its empty cluster.
func announce(ctx context.Context, launch *launcher.Launcher, out io.Writer) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for launch.Ready() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	_, err := fmt.Fprintln(out, "ready")
	return err
}

// serveObjects shows what is in the cluster, for tests that look at what a hub's request became.
func (c *cluster) serveObjects(w http.ResponseWriter, r *http.Request) {
	objects, err := c.objects(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(objects) // the client may be gone
}
