package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
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
}

// New makes a launcher, which does nothing before Run.
func New(c Config) (*Launcher, error) {
	l := &Launcher{config: c, client: c.Client, dynamic: c.Dynamic, log: c.Log}
	if len(c.Hubs) == 0 || slices.Contains(c.Hubs, "") {
		return nil, errors.New("launcher: name at least one hub, and none with an empty name")
	}
	if l.client != nil && l.dynamic != nil {
		return l, nil
	}
	if c.Rest == nil {
		return nil, errors.New("launcher: neither Rest nor Client and Dynamic are given")
	}
	client, clientErr := kubernetes.NewForConfig(c.Rest)
	untyped, dynamicErr := dynamic.NewForConfig(c.Rest)
	if err := errors.Join(clientErr, dynamicErr); err != nil {
		return nil, fmt.Errorf("launcher: set up the clients of the API server: %w", err)
	}
	l.client, l.dynamic = cmp.Or(l.client, kubernetes.Interface(client)), cmp.Or(l.dynamic, dynamic.Interface(untyped))
	return l, nil
}

// Run watches pods and policies until ctx ends, whose end isn't an error.
func (l *Launcher) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Ready is nil when pods and policies are known and being watched.
func (l *Launcher) Ready() error { return errNotBuilt }

// Start asks for a server and waits until its pod is admitted and the Secret with its environment exists.
func (l *Launcher) Start(context.Context, Request) (*Server, error) { return nil, errNotBuilt }

// StopOptions of Stop.
type StopOptions struct {
	// GracePeriod that the server has to end; nil: a second, as KubeSpawner; 0: at once.
	GracePeriod *time.Duration
	// Wait is how long to wait until the pod is gone; 0: not at all.
	Wait time.Duration
}

// Stop deletes a server's pod. A nil Server without an error: it is gone.
func (l *Launcher) Stop(context.Context, Key, StopOptions) (*Server, error) { return nil, errNotBuilt }

// Get gives a server; ErrNotFound where no pod of it is there.
func (l *Launcher) Get(Key) (*Server, error) { return nil, errNotBuilt }

// List gives the servers of a hub, by user and name.
func (l *Launcher) List(hub string) []*Server { return nil }

// Change of a server.
type Change struct {
	// Server as it is now, or was before its pod went.
	Server *Server
	// Deleted: its pod is gone.
	Deleted bool
}

// Watch gives every server of a hub, then their changes, until ctx ends, when the channel is closed. Whoever reads slowly gets the
// last state of each server rather than every one between.
func (l *Launcher) Watch(context.Context, string) <-chan Change { return nil }

// Progress tells how a server comes up. The last step has Done; it ends sooner only with ctx.
func (l *Launcher) Progress(context.Context, Key) iter.Seq[Step] {
	return func(func(Step) bool) {}
}

// Profiles are those that a user may choose from. Of the request, only what says who the user is counts.
func (l *Launcher) Profiles(context.Context, Request) (*Offer, error) { return nil, errNotBuilt }

// Claims are those of a user.
func (l *Launcher) Claims(_ context.Context, hub, user string) ([]Claim, error) { return nil, errNotBuilt }

// DeleteClaims asks for the deletion of a server's claims, or of all claims of the user, and gives those for which it did: none
// where this launcher may not ask.
func (l *Launcher) DeleteClaims(_ context.Context, k Key, allServers bool) ([]Claim, error) {
	return nil, errNotBuilt
}

var errNotBuilt = errors.New("not built yet")
