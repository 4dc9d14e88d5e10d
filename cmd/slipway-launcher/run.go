package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/slipway-hub/slipway/launcher"
)

// run ends some time after ctx, nil for a clean end: so long a Service may still send requests here, and those that came in are
// answered.
func run(ctx context.Context, cluster *rest.Config, log logr.Logger, o *options) error {
	launch, err := launcher.New(launcher.Config{
		Rest: cluster, Namespaces: o.namespaces, Hubs: o.allHubs(), UserNamespaces: o.userNamespaces, PodLogs: o.podLogs,
		Hopeless: o.hopeless, Log: log,
	})
	if err != nil {
		return err
	}
	in, err := openWays(cluster, launch, log, o)
	if err != nil {
		return err
	}
	defer func() { _ = in.close() }() // drain has closed it, unless something failed before
	mgr, err := newManager(ctx, cluster, launch, in, log, o)
	if err != nil {
		return err
	}
	// What answers requests must outlive ctx, and what they need must outlive them.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return launch.Run(running) })
	group.Go(func() error { return in.loadCertificate(running) })
	group.Go(func() error { return mgr.Start(running) })
	group.Go(in.serve)
	go func() {
		defer stop()
		select {
		case <-running.Done(): // a part has failed
		case <-ctx.Done():
			log.Info("draining", "delay", o.drainDelay.String())
			select {
			case <-running.Done():
			case <-time.After(o.drainDelay):
			}
		}
		in.drain(o.drainTimeout)
	}()
	return group.Wait()
}

// newManager serves health and metrics.
func newManager(ctx context.Context, cluster *rest.Config, launch *launcher.Launcher, in *ways, log logr.Logger, o *options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := authorizationv1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("set up the launcher: %w", err)
	}
	mgr, err := manager.New(cluster, manager.Options{
		Scheme:                 scheme,
		Logger:                 log,
		Metrics:                metricsserver.Options{BindAddress: o.metricsBindAddress},
		HealthProbeBindAddress: o.healthProbeBindAddress,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the launcher: %w", err)
	}
	// The reader has no cache: the launcher has its own.
	rights := newRights(mgr.GetAPIReader(), mgr.GetClient(), o, log)
	err = errors.Join(
		mgr.Add(rights),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("running", func(*http.Request) error {
			if ctx.Err() != nil {
				return errors.New("stopping")
			}
			return nil
		}),
		mgr.AddReadyzCheck("rights", rights.Ready),
		mgr.AddReadyzCheck("servers", func(*http.Request) error { return launch.Ready() }),
		mgr.AddReadyzCheck("certificate", in.certificateReady),
	)
	if err != nil {
		return nil, fmt.Errorf("set up the launcher: %w", err)
	}
	return mgr, nil
}
