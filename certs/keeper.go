package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	// propagationDelay is how long API servers may go on calling by a webhook configuration that has changed: they read it from
	// a cache.
	propagationDelay = 5 * time.Second
	// lookEvery bounds the time between two looks at everything, if nothing happens.
	lookEvery = time.Minute
	// The pause after a failure grows from one to the other.
	retryFirst, retryLast = 20 * time.Millisecond, 30 * time.Second
	// writeTimeout bounds one look, with all that it writes.
	writeTimeout = 15 * time.Second
)

// KeeperOptions say what a Keeper keeps. Where a field has a default, empty means that.
type KeeperOptions struct {
	// Mode is SelfSignedMode or CertManagerMode.
	Mode Mode
	// Config reaches the API server. In Namespace the account needs list and watch on the three Secrets of a release and update
	// on AuthoritiesSecret, in the whole cluster list and watch on the webhook configurations; in SelfSignedMode also update on
	// SelfSignedSecret and patch on the configurations. All by name.
	Config *rest.Config
	// Namespace is the webhook's.
	Namespace string
	// Hosts are the names by which the API server calls.
	Hosts []string
	// Mutating and Validating name the webhook configurations that must trust what is served.
	Mutating, Validating []string
	// FieldManager is whom the API server notes as the owner of what is written.
	FieldManager string
	// PropagationDelay is the time that API servers are given to read a changed configuration. Default: 5 s.
	PropagationDelay time.Duration
	// DropAfter is how long an authority must be needed by nobody before it is dropped. Default: 1 min.
	DropAfter time.Duration
	// LookEvery is how often everything is looked at though nothing has happened. Default: 1 min.
	LookEvery time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	Log logr.Logger
}

// Keeper serves with the pair of a Secret, and has what the API server trusts keep up with it. Every replica has one, in
// whatever mode, and none waits for another:
//
//  1. The authority of a new pair goes into AuthoritiesSecret, beside those that are there.
//  2. From there it goes into the webhook configurations: by the replicas, or by cert-manager's injector.
//  3. A replica serves with the new pair only when all configurations have trusted it for long enough that every API server
//     knows; a replica that has nothing better serves with it at once, and isn't ready before.
//  4. When no replica needs an authority any more, the leader drops it. From the configurations cert-manager's injector takes
//     only what has expired; so there the leader's part is the Secret.
//
// So neither a rotation nor a change of mode has a moment at which an API server doesn't trust who answers it. The library
// cert-controller of Open Policy Agent, as of v0.16.0, writes the new authority over the old one, in the configurations too,
// while replicas still serve with what the old one signed: with failurePolicy Fail that would refuse pods for as long as
// kubelet takes to bring a Secret to every replica.
type Keeper struct {
	o         KeeperOptions
	secrets   coreclient.SecretInterface
	registrar registrar
	queue     workqueue.TypedRateLimitingInterface[struct{}]

	own, other, bundle *watched
	configurations     []*watched

	state   atomic.Pointer[state]
	term    atomic.Pointer[term]
	changed chan struct{}

	// What follows is of the one goroutine that looks.

	trust trust
	idle  idle
	// said is the last trouble that was logged.
	said string
}

// state is what a replica serves with.
type state struct {
	// served is nil before there is something.
	served *pair
	// next is what it will serve with, where that is something else.
	next *pair
	// missing says why the Secret has nothing to serve with; nil: it has.
	missing error
	// registered stays once all configurations were there and trusted what was served.
	registered bool
	// unregistered says why the API server can't be expected to call this replica; nil: it can.
	unregistered error
}

// term is a replica's time as the leader.
type term struct {
	// leases has the replicas' reports. nil: not yet.
	leases toolscache.Store
}

// NewKeeper asks for nothing yet: Start does.
func NewKeeper(o KeeperOptions) (*Keeper, error) {
	if o.Namespace == "" {
		return nil, fmt.Errorf("certificate mode %s: no namespace to find Secrets in", o.Mode)
	}
	o.Log = o.Log.WithName("certificate")
	if o.PropagationDelay == 0 {
		o.PropagationDelay = propagationDelay
	}
	if o.DropAfter == 0 {
		o.DropAfter = dropAfter
	}
	if o.LookEvery == 0 {
		o.LookEvery = lookEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	core, err := coreclient.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client for Secrets: %w", err)
	}
	registration, err := admissionregistrationclient.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client for webhook configurations: %w", err)
	}
	k := &Keeper{
		o: o, secrets: core.Secrets(o.Namespace), registrar: registrar{client: registration, fieldManager: o.FieldManager},
		queue:   workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[struct{}](retryFirst, retryLast)),
		changed: make(chan struct{}, 1),
	}
	k.state.Store(&state{missing: errNotRead, unregistered: errNotRead})
	secret := func(name string) *watched {
		return watch(core.RESTClient(), "secrets", o.Namespace, name, &corev1.Secret{}, k.look)
	}
	k.own, k.other, k.bundle = secret(o.Mode.Secret()), secret(o.Mode.other()), secret(AuthoritiesSecret)
	for _, name := range o.Mutating {
		k.configurations = append(k.configurations, watch(registration.RESTClient(), "mutatingwebhookconfigurations", "", name, &admissionregistrationv1.MutatingWebhookConfiguration{}, k.look))
	}
	for _, name := range o.Validating {
		k.configurations = append(k.configurations, watch(registration.RESTClient(), "validatingwebhookconfigurations", "", name, &admissionregistrationv1.ValidatingWebhookConfiguration{}, k.look))
	}
	return k, nil
}

// errNotRead is what readiness says before everything has been read once.
var errNotRead = errors.New("the certificate's Secrets and the webhook configurations aren't read yet; the log says if a right is missing")

// look has everything looked at soon.
func (k *Keeper) look() { k.queue.Add(struct{}{}) }

// Start keeps the pair until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	defer context.AfterFunc(ctx, k.queue.ShutDown)()
	if !runAll(ctx, append([]*watched{k.own, k.other, k.bundle}, k.configurations...)) {
		return nil
	}
	k.look()
	for {
		item, shutdown := k.queue.Get()
		if shutdown {
			return nil
		}
		again, err := k.keep(ctx)
		if err != nil {
			k.queue.AddRateLimited(item)
		} else {
			k.queue.Forget(item)
			k.queue.AddAfter(item, again)
		}
		k.queue.Done(item)
	}
}

// TLS configures a server to serve with what is kept.
func (k *Keeper) TLS(c *tls.Config) {
	serveTLS(c, func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if served := k.state.Load().served; served != nil {
			return served.tls, nil
		}
		return nil, errNotLoaded
	})
}

// Ready is nil while there is a certificate and it is valid by the clock.
func (k *Keeper) Ready(*http.Request) error {
	s := k.state.Load()
	if s.served == nil {
		return fmt.Errorf("%w: %w", errNotLoaded, s.missing)
	}
	return validAt(s.served.leaf(), k.o.Now())
}

// Registered is nil once all webhook configurations trust what is served, and then as long as none of those that exist
// doesn't.
func (k *Keeper) Registered(*http.Request) error {
	return k.state.Load().unregistered
}

// Authorities are those that this replica needs clients to trust, since it serves with what they signed or is about to: a
// list with commas, empty for none.
func (k *Keeper) Authorities() string {
	s := k.state.Load()
	return s.needs().String()
}

// Changed gets something when Authorities has changed.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// Lead makes this replica the one that makes certificates, in SelfSignedMode, and drops authorities that nobody needs, until
// ctx ends. leases are those of all replicas, with what Authorities said there.
func (k *Keeper) Lead(ctx context.Context, leases toolscache.ListerWatcher) {
	k.term.Store(&term{})
	defer k.term.Store(nil)
	k.look()
	store, informer := toolscache.NewInformerWithOptions(toolscache.InformerOptions{ListerWatcher: leases, ObjectType: &coordinationv1.Lease{}, Handler: toolscache.ResourceEventHandlerFuncs{}})
	go informer.RunWithContext(ctx)
	if toolscache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		k.term.Store(&term{leases: store})
	}
	<-ctx.Done()
}

func (s *state) needs() authorities {
	var all authorities
	for _, p := range []*pair{s.served, s.next} {
		if p != nil {
			all = all.with(p.roots...)
		}
	}
	return all
}
