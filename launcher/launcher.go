package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Config of a Launcher.
type Config struct {
	// Rest says how the API server is reached. It may be left out where Client and Dynamic are given.
	Rest *rest.Config
	// Client and Dynamic are made from Rest unless they are given.
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// Namespaces in which servers are started and watched; empty: all.
	Namespaces []string
	// Hubs whose pods are watched; at least one.
	Hubs []string
	// UserNamespaces has the launcher make the namespace that policy gives a user.
	UserNamespaces bool
	// PodLogs has the last lines of a container's log told where it failed. It needs the right to get pods/log.
	PodLogs bool
	// Hopeless are the reasons for which a server that starts fails at once instead of going on; nil: DefaultHopeless.
	Hopeless []string
	// Log is told what happens; never a value of an environment. The zero value is silent.
	Log logr.Logger
}

// Launcher starts, watches and stops servers. What it knows is in the pods' labels and annotations, so any number of them may
// work side by side. It may be used by many goroutines at once.
type Launcher struct {
	config  Config
	client  kubernetes.Interface
	dynamic dynamic.Interface
	log     logr.Logger

	hopeless func(reason string) bool
	store    *store
	policies *policies
	labels   namespaceLabels
	flights  flights
	alive    liveness
	// self is the name of the launcher's account.
	self atomic.Pointer[string]
	// synced is closed once all is read.
	synced chan struct{}
}

// New makes a launcher, which does nothing before Run.
func New(c Config) (*Launcher, error) {
	if len(c.Hubs) == 0 || slices.Contains(c.Hubs, "") {
		return nil, errors.New("launcher: name at least one hub, and none with an empty name")
	}
	if c.Hopeless == nil {
		c.Hopeless = DefaultHopeless
	}
	l := &Launcher{
		config: c, client: c.Client, dynamic: c.Dynamic, log: c.Log, hopeless: isHopeless(c.Hopeless),
		store: newStore(), policies: newPolicies(), synced: make(chan struct{}),
	}
	if l.client != nil && l.dynamic != nil {
		return l, nil
	}
	if c.Rest == nil {
		return nil, errors.New("launcher: neither Rest nor Client and Dynamic are given")
	}
	typed := rest.CopyConfig(c.Rest)
	if typed.QPS == 0 {
		typed.QPS = -1 // the API server has its own fairness, and a class that starts its servers at once is many requests
	}
	untyped := rest.CopyConfig(typed)
	// A third of the bytes of JSON, and of the time: there may be 10,000 pods to read.
	typed.ContentType, typed.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	client, clientErr := kubernetes.NewForConfig(typed)
	objects, dynamicErr := dynamic.NewForConfig(untyped)
	if err := errors.Join(clientErr, dynamicErr); err != nil {
		return nil, fmt.Errorf("launcher: set up the clients of the API server: %w", err)
	}
	l.client, l.dynamic = cmp.Or(l.client, kubernetes.Interface(client)), cmp.Or(l.dynamic, dynamic.Interface(objects))
	return l, nil
}

// Run watches pods and policies until ctx ends, whose end isn't an error. It is to be called once.
func (l *Launcher) Run(ctx context.Context) error {
	if err := l.whoAmI(ctx); err != nil {
		return err
	}
	controllers := append(l.podInformers(), l.policies.informers(l)...)
	var running sync.WaitGroup
	defer running.Wait()
	synced := make([]cache.DoneChecker, 0, len(controllers))
	for _, c := range controllers {
		running.Go(func() { c.RunWithContext(ctx) })
		synced = append(synced, c.HasSyncedChecker())
	}
	if !cache.WaitFor(ctx, "", synced...) {
		return nil // ctx has ended
	}
	l.policies.compile()
	close(l.synced)
	l.log.Info("watching", "namespaces", len(l.config.Namespaces), "hubs", len(l.config.Hubs))
	l.policies.follow(ctx)
	return nil
}

// whoAmI asks for the name of the account whose token this is: what policy says may depend on who launches.
func (l *Launcher) whoAmI(ctx context.Context) error {
	for wait := patience(); ; {
		review, err := l.client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if l.alive.note(ctx, err) == nil {
			l.self.Store(&review.Status.UserInfo.Username)
			return nil
		}
		if again, after := mayGoWell(err); !again {
			return fmt.Errorf("ask the API server for the name of this account: %w", err)
		} else if !sleep(ctx, max(after, wait.Step())) {
			return nil
		}
	}
}

// account is the launcher's own, as system:serviceaccount:NAMESPACE:NAME; "" before it is known.
func (l *Launcher) account() string {
	if name := l.self.Load(); name != nil {
		return *name
	}
	return ""
}

// Ready is nil when pods and policies are known and being watched.
func (l *Launcher) Ready() error {
	if err := l.syncedNow(); err != nil {
		if why := l.alive.last(); why != nil {
			return fmt.Errorf("%w; the API server's last answer was: %w", err, why)
		}
		return err
	}
	return l.alive.check()
}

// ErrNotReady says that not all pods and policies are read yet, so that nothing can be said.
var ErrNotReady = errors.New("not all pods and policies are read yet: try again in a moment")

func (l *Launcher) syncedNow() error {
	select {
	case <-l.synced:
		return nil
	default:
		return ErrNotReady
	}
}

func (l *Launcher) awaitSynced(ctx context.Context) error {
	select {
	case <-l.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w; %w", context.Cause(ctx), l.Ready())
	}
}

// Get gives a server; ErrNotFound where no pod of it is there, ErrNotReady where that can't be told yet.
func (l *Launcher) Get(key Key) (*Server, error) {
	if err := errors.Join(l.knows(key.Hub), l.syncedNow()); err != nil {
		return nil, err
	}
	r := l.store.get(key)
	if r == nil {
		return nil, ErrNotFound
	}
	return r.copyOfServer(), nil
}

// List gives the servers of a hub, by user and name. Before Ready it is incomplete.
func (l *Launcher) List(hub string) []*Server { return l.store.list(hub) }

// Change of a server.
type Change struct {
	// Server as it is now, or was before its pod went.
	Server *Server
	// Deleted: its pod is gone, and no other is there.
	Deleted bool
}

// Watch gives every server of a hub, then their changes, until ctx ends, when the channel is closed. Whoever reads slowly gets the
// last state of each server rather than every one between.
func (l *Launcher) Watch(ctx context.Context, hub string) <-chan Change {
	changes := make(chan Change)
	w := l.store.watch(ctx, hub)
	go func() {
		defer close(changes)
		for {
			n, err := w.next(ctx)
			if err != nil {
				return
			}
			change := Change{Server: n.record.copyOfServer(), Deleted: n.deleted}
			if other := l.store.get(change.Server.Key); n.deleted && other != nil {
				change = Change{Server: other.copyOfServer()}
			}
			select {
			case changes <- change:
			case <-ctx.Done():
				return
			}
		}
	}()
	return changes
}

// Profiles are those that a user may choose from. Of the request, only what says who the user is, and the namespace, counts. A user whom
// policy refuses every server gets a *Denied.
func (l *Launcher) Profiles(ctx context.Context, req Request) (*Offer, error) {
	if err := errors.Join(l.knows(req.Hub), l.syncedNow()); err != nil {
		return nil, err
	}
	req.Profile, req.Options = "", nil
	set := l.policies.current.Load()
	at, err := l.place(ctx, set, &req, false)
	if err != nil {
		return nil, err
	}
	offered, denials := set.offered(l.input(&req, at))
	if len(denials) > 0 {
		return nil, deniedBy(denials)
	}
	// Why there is no name, the start is going to say.
	names, _ := set.names(l.input(&req, at))
	return &Offer{Profiles: offered, DNS: names.DNS}, nil
}
