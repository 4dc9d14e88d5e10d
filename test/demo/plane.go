package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/test/cluster/kube"
)

// cleanUpTime is how long a given cluster may take to delete what the demo made in it.
const cleanUpTime = 30 * time.Second

// plane is the API server that the demo works on.
type plane struct {
	client     client.Client // may do everything
	config     *rest.Config
	kubeconfig string
	// own is ours, and goes away as a whole; nil for a given cluster, from which what was made is deleted.
	own  *kube.Cluster
	made []client.Object
}

// openPlane uses the cluster of DEMO_KUBECONFIG, or starts one.
func openPlane(ctx context.Context, s *screen) (*plane, error) {
	p := &plane{kubeconfig: os.Getenv("DEMO_KUBECONFIG")}
	var err error
	if p.kubeconfig != "" {
		if p.config, err = clientcmd.BuildConfigFromFlags("", p.kubeconfig); err != nil {
			return nil, fmt.Errorf("read DEMO_KUBECONFIG: %w", err)
		}
	} else {
		if p.own, err = kube.Start(ctx, kube.Options{Progress: s}); err != nil {
			return nil, err
		}
		p.config, p.kubeconfig = p.own.Config(), p.own.Kubeconfig()
	}
	p.config.WarningHandlerWithContext = rest.NoWarnings{}
	if p.client, err = client.New(p.config, client.Options{Scheme: runtime.NewScheme()}); err != nil {
		return p, fmt.Errorf("reach the cluster: %w", err)
	}
	return p, nil
}

// create makes an object that must not be there yet, so that nothing of a given cluster is overwritten. An interrupt doesn't
// cut it short: whether the object was made would stay unknown, and the cluster might keep it.
func (p *plane) create(ctx context.Context, o *unstructured.Unstructured) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	err := p.client.Create(ctx, o)
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%s %s is there already, and the demo needs one of its own: use an empty cluster", o.GetKind(), o.GetName())
	}
	if err != nil {
		return fmt.Errorf("create %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	p.made = append(p.made, o)
	return nil
}

// close leaves nothing behind. It can be called on nil.
func (p *plane) close() error {
	if p == nil {
		return nil
	}
	if p.own != nil {
		return p.own.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	var errs []error
	for _, o := range slices.Backward(p.made) {
		if err := client.IgnoreNotFound(p.client.Delete(ctx, o)); err != nil {
			errs = append(errs, fmt.Errorf("delete %s: %w", o.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

// until asks again and again until the answer is yes, an error, or the time is over.
func until(ctx context.Context, what string, ask func(context.Context) (bool, error)) error {
	const patience, interval = 30 * time.Second, 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		yes, err := ask(ctx)
		if yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
