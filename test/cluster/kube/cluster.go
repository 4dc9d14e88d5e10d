// Package kube starts a real Kubernetes for tests: etcd, the API server and, on
// request, the scheduler, the controller manager and a node that runs pods, all
// compiled from Go modules. It needs the Go command and a module proxy, and
// neither a container engine nor an image registry. It works on Unix systems,
// with a node on Linux only; and only on Linux do the programs also end when
// the test process is killed.
package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// stopGrace is how long a program has to end by itself. Nothing in a stopped
// cluster is of use to anyone, so it is short.
const stopGrace = 5 * time.Second

// portAttempts is how often Start tries again when another program took a port
// between the moment it was found free and the moment it was used.
const portAttempts = 5

// Options says what a cluster is made of. The zero value is etcd and an API
// server.
type Options struct {
	// Scheduler starts kube-scheduler too.
	Scheduler bool
	// ControllerManager starts kube-controller-manager too, with all the
	// controllers that are on by default. Without it nothing deletes the content
	// of a namespace, so a deleted namespace stays Terminating.
	ControllerManager bool
	// Node starts a node too, which runs pods, and with it Scheduler and
	// ControllerManager. It needs Linux, root and some commands; where one is
	// missing, the error names its package. The cluster then has a network of
	// its own, from which nothing leads out; DialContext and Forward reach it.
	Node bool
	// FakeNodes is how many nodes kwok makes, and with one or more starts
	// Scheduler too. A pod on such a node says that it runs, and nothing does: so
	// there can be thousands. It needs neither Linux nor root.
	FakeNodes int
	// Progress gets what is shown while programs are compiled, and while those of
	// a node start. Nil: nothing is shown.
	Progress io.Writer
	// LogDir is a folder for one log file per program. Two clusters that run at
	// once need two. Empty: the logs go away with the cluster.
	LogDir string
	// APIServerArgs are further arguments of kube-apiserver. They come last, so
	// they win over ours. Nil: none.
	APIServerArgs []string

	// ports finds n free TCP ports of the loopback address. Nil: freePorts.
	ports func(ctx context.Context, n int) ([]int, error)
}

// Cluster is a running Kubernetes. Its methods may be called concurrently.
type Cluster struct {
	options    Options
	programs   string // the folder of the programs
	containerd string // the folder of the node's; empty without a node
	kwok       string // the folder of that of fake nodes; empty without one
	scratch    *scratch
	logs       string
	kubeconfig string
	config     *rest.Config
	etcd       *rest.Config // a client of etcd
	client     kubernetes.Interface

	machine  *machine // on which everything runs; nil without a node
	children []*child // in the order of their start
	stopping chan struct{}
	stopOnce sync.Once
	stopErr  error
}

// Start builds Kubernetes where that has not been done, starts a control plane
// on random loopback ports and returns when it answers, and when pods can be
// created in the namespace default. The caller stops it with Stop. When ctx
// ends, at any time, the cluster is stopped too.
//
// Where a program ends by itself or does not answer in time, the error holds
// the end of its log.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Node {
		o.Scheduler, o.ControllerManager = true, true
	}
	if o.FakeNodes > 0 {
		o.Scheduler = true
	}
	found, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.ports == nil {
		o.ports = freePorts
	}
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, found, o)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = c.Stop() })
			return c, nil
		}
		if attempt == portAttempts || !errors.Is(err, errPortTaken) {
			return nil, fmt.Errorf("start a control plane: %w", err)
		}
	}
}

// Prepare builds all that Start needs with these options, so that Start takes
// seconds, and says what this machine lacks for it.
func Prepare(ctx context.Context, o Options) error {
	_, err := prepare(ctx, o)
	return err
}

// folders are those of the programs. Those of containerd and kwok are empty
// where there is no such node.
type folders struct{ kubernetes, containerd, kwok string }

func prepare(ctx context.Context, o Options) (found folders, err error) {
	wanted := []string{"etcd", "kube-apiserver", "kubectl"}
	if o.ControllerManager {
		wanted = append(wanted, "kube-controller-manager")
	}
	if o.Scheduler {
		wanted = append(wanted, "kube-scheduler")
	}
	if o.Node {
		wanted = append(wanted, "kubelet", "kube-proxy")
		if err := checkNode(); err != nil {
			return folders{}, err
		}
		if found.containerd, err = Containerd.Build(ctx, o.Progress); err != nil {
			return folders{}, err
		}
		if _, err := Images.Build(ctx, o.Progress); err != nil {
			return folders{}, err
		}
	}
	if o.FakeNodes > 0 {
		if found.kwok, err = Kwok.Build(ctx, o.Progress); err != nil {
			return folders{}, err
		}
	}
	binary, err := findPrograms(ctx, o.Progress, wanted)
	found.kubernetes = filepath.Dir(binary)
	return found, err
}

// start is one attempt of Start. It leaves nothing behind where it fails.
func start(ctx context.Context, found folders, o Options) (_ *Cluster, err error) {
	c := &Cluster{options: o, programs: found.kubernetes, containerd: found.containerd, kwok: found.kwok, stopping: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if c.scratch, err = newScratch(); err != nil {
		return nil, err
	}
	if err := c.openLogs(); err != nil {
		return nil, err
	}
	plane, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	if err := plane.startAll(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Config returns the configuration of a client that may do everything (group
// system:masters) without a limit on its rate. It is a copy; the caller may
// change it.
func (c *Cluster) Config() *rest.Config {
	return rest.CopyConfig(c.config)
}

// Kubeconfig returns the path of a kubeconfig file with the same rights as
// Config. The file goes away with the cluster.
func (c *Cluster) Kubeconfig() string {
	return c.kubeconfig
}

// Programs returns the folder that holds etcd, kube-apiserver, kubectl and the
// others by their names.
func (c *Cluster) Programs() string {
	return c.programs
}

// Wait returns nil when ctx ends or Stop is called. Where a program of the
// cluster ends by itself before that, it returns an error that names it and
// holds the end of its log; the others go on.
func (c *Cluster) Wait(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan *child, len(c.children))
	for _, p := range c.children {
		go func() {
			select {
			case <-p.exited:
				ended <- p
			case <-ctx.Done():
			}
		}()
	}
	select {
	case p := <-ended:
		select {
		case <-c.stopping:
			return nil
		default:
			return p.failure()
		}
	case <-c.stopping:
		return nil
	case <-ctx.Done():
		return nil
	}
}

// Stop ends all programs, the one started last first: politely, and by force
// where one is still there after some seconds. Then it removes the cluster's
// files. It returns when all is gone. Further calls, also concurrent ones, wait
// for the first and return the same.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() {
		close(c.stopping)
		var errs []error
		for _, p := range slices.Backward(c.children) {
			errs = append(errs, p.stop(syscall.SIGTERM))
		}
		if c.scratch != nil {
			errs = append(errs, c.scratch.remove())
		}
		c.stopErr = errors.Join(errs...)
	})
	return c.stopErr
}
