// Package webhook is the admission server: it keeps the compiled policies current and fits out the skeletons that
// the API server asks about. The work itself is package policy's.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/certs"
)

// Options say how a replica runs.
type Options struct {
	// Config reaches the API server. The account needs list and watch on namespaces, persistentvolumeclaims, spawnpolicies
	// and clusterspawnpolicies. With Namespace it needs also update on the policies' status, create on events, list and
	// watch on pods, create, patch and delete on persistentvolumeclaims, list, watch, create and delete on services, and, in that
	// namespace, every verb on leases. certs.KeeperOptions says what certificates need beside that.
	Config *rest.Config
	// Namespace is where this replica runs; there it reports by which policies it answers. Empty: it writes nothing
	// into the cluster, so policies get no status, denials no Events, and pods no claims and Services.
	Namespace string
	// Identity is this replica's name among all in the namespace. Empty: the host's name and a random suffix.
	Identity string
	// BindAddress and Port are where the API server reaches the webhook. Defaults: every address, 9443.
	BindAddress string
	Port        int
	// CertDir holds tls.crt and tls.key; they may appear later, and may change. It counts where Certificates has no mode or
	// certs.Files.
	CertDir string
	// Certificates says what else to serve with. Fields that are empty are filled in from the others here.
	Certificates certs.KeeperOptions
	// ServiceName is that of the Service before the replicas. It and Namespace make the host that a certificate must be for.
	ServiceName string
	// MetricsBindAddress and HealthProbeBindAddress are HOST:PORT; "0" switches them off, as "" does for health.
	MetricsBindAddress     string
	HealthProbeBindAddress string
	// OwnNamespaces are exempt from a ClusterSpawnPolicy without namespaceSelector. May be nil.
	OwnNamespaces []string
	// DrainDelay is how long a replica goes on after it was told to stop, not ready any more: that long a Service
	// may still send it requests. 0: not at all.
	DrainDelay time.Duration
	// DrainTimeout bounds the wait for requests that are being answered. 0: they are cut off.
	DrainTimeout time.Duration
	// Tracing is off if it is empty.
	Tracing Tracing
	// Log may be the zero Logger, which says nothing.
	Log logr.Logger
	// Version is that of the program, for the metric of the build.
	Version string
}

// errDraining is what readiness says after the replica was told to stop.
var errDraining = errors.New("stopping")

// Run serves admission requests until ctx ends, and then until those that came in have been answered. Before its
// caches are synced, its policies compiled and its certificate loaded it isn't ready, and answers with errors. nil
// is a clean end.
func Run(ctx context.Context, o Options) error {
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	buildInfo.WithLabelValues(o.Version, goruntime.Version()).Set(1)
	// What runs must outlive ctx by the drain delay.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	serving, leading, err := newCertificates(&o)
	if err != nil {
		return err
	}
	mgr, err := newManager(running, &o, serving)
	if err != nil {
		return err
	}
	var draining atomic.Bool
	if err := addReadiness(mgr, &draining, serving); err != nil {
		return err
	}
	tracing, err := newTracing(running, &o)
	if err != nil {
		return err
	}
	defer tracing.end(context.WithoutCancel(ctx))
	own, err := addWebhooks(running, mgr, serving, tracing, &draining, &o)
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return serving.Start(running) })
	group.Go(func() error { return leading.Start(running) })
	group.Go(func() error {
		defer own.end(context.WithoutCancel(running))
		return mgr.Start(running)
	})
	go func() {
		select {
		case <-running.Done():
			return
		case <-ctx.Done():
		}
		draining.Store(true)
		o.Log.Info("draining", "delay", o.DrainDelay.String())
		select {
		case <-running.Done():
		case <-time.After(o.DrainDelay):
		}
		stop()
	}()
	return ended(running, group, o.DrainTimeout)
}

// ended waits for the group, for a bounded time once it was told to stop.
func ended(running context.Context, group *errgroup.Group, timeout time.Duration) error {
	const beyond = 5 * time.Second
	result := make(chan error, 1)
	go func() { result <- group.Wait() }()
	select {
	case err := <-result:
		return err
	case <-running.Done():
	}
	select {
	case err := <-result:
		return err
	case <-time.After(timeout + beyond):
		return fmt.Errorf("did not stop within %s", timeout+beyond)
	}
}

func newManager(stopping context.Context, o *Options, serving certificates) (manager.Manager, error) {
	mgr, err := manager.New(o.Config, manager.Options{
		Scheme:   runtime.NewScheme(), // everything that is watched is untyped
		Logger:   o.Log,
		NewCache: newStoppableCache(stopping),
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				// Labels reads one per request, and changes nothing.
				namespaceMetadata(): {Transform: labelsOnly, UnsafeDisableDeepCopy: new(true)},
				claimMetadata():     {Transform: claimIdentityOnly, UnsafeDisableDeepCopy: new(true)},
			},
		},
		WebhookServer: ctrlwebhook.NewServer(ctrlwebhook.Options{
			Host: o.BindAddress, Port: o.Port, TLSOpts: []func(*tls.Config){serving.TLS},
		}),
		Metrics:                 metricsserver.Options{BindAddress: o.MetricsBindAddress},
		HealthProbeBindAddress:  o.HealthProbeBindAddress,
		GracefulShutdownTimeout: &o.DrainTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the webhook: %w", err)
	}
	return mgr, nil
}

func addReadiness(mgr manager.Manager, draining *atomic.Bool, serving certificates) error {
	notDraining := func(*http.Request) error {
		if draining.Load() {
			return errDraining
		}
		return nil
	}
	started := mgr.GetWebhookServer().StartedChecker()
	listening := func(r *http.Request) error {
		// It shakes hands with itself, which is of no use, and noise in the log, before there is a certificate.
		if err := serving.Ready(r); err != nil {
			return err
		}
		return started(r)
	}
	return errors.Join(
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("running", notDraining),
		mgr.AddReadyzCheck("certificate", serving.Ready),
		mgr.AddReadyzCheck("ca-bundle", serving.Registered),
		mgr.AddReadyzCheck("listening", listening),
	)
}

// addWebhooks wires /mutate, /verify and /validate-policy: caches, policies, handlers.
func addWebhooks(ctx context.Context, mgr manager.Manager, serving certificates, tracing *tracing, draining *atomic.Bool, o *Options) (*replica, error) {
	namespaces, err := watchNamespaces(ctx, mgr.GetCache(), o.Log)
	if err != nil {
		return nil, err
	}
	claims, err := watchClaims(ctx, mgr.GetCache())
	if err != nil {
		return nil, err
	}
	policies, err := watchPolicies(ctx, mgr.GetCache(), o.OwnNamespaces, o.Log)
	if err != nil {
		return nil, err
	}
	own, err := addReplica(ctx, mgr, known{policies, namespaces, claims}, serving, o)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(mgr.Add(policies), mgr.AddReadyzCheck("policies", policies.Ready)); err != nil {
		return nil, fmt.Errorf("set up the policies: %w", err)
	}
	limit := newInFlight()
	for path, newHandler := range map[string]func(decider) admission.Handler{
		MutatePath: func(d decider) admission.Handler { return &mutator{d} },
		VerifyPath: func(d decider) admission.Handler { return &verifier{d} },
	} {
		name := strings.TrimPrefix(path, "/")
		log := o.Log.WithName(name)
		handler := newHandler(decider{
			webhook: name, engine: policies, namespaces: namespaces, claims: claims, events: own.tellsOf(), fitted: policies.fitted, tracing: tracing, log: log,
		})
		mgr.GetWebhookServer().Register(path, lastOnItsConnection(draining, &endpoint{webhook: name, handler: handler, inFlight: limit, tracing: tracing, log: log}))
	}
	log := o.Log.WithName(validatesPolicies)
	judge := newPolicyValidator(policies, namespaces, log)
	judge.tracing = tracing
	mgr.GetWebhookServer().Register(ValidatePolicyPath, lastOnItsConnection(draining, &endpoint{webhook: validatesPolicies, handler: judge, tracing: tracing, log: log}))
	return own, nil
}
