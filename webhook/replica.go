package webhook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/watch"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// component names the product's webhook: in Events, as an owner of fields, and in the names of Leases.
const component = "slipway-webhook"

// replica is what this process writes into the cluster, all of it beside the answers. nil writes nothing.
type replica struct {
	events  *events
	reports *reports
}

// tellsOf gives where denials are told of; nil for nowhere.
func (r *replica) tellsOf() *events {
	if r == nil {
		return nil
	}
	return r.events
}

// end says the last words, for a bounded time, when the last request has been answered.
func (r *replica) end(ctx context.Context) {
	if r == nil {
		return
	}
	var group sync.WaitGroup
	group.Go(func() { r.events.drain(ctx) })
	group.Go(func() { r.reports.withdraw(ctx) })
	group.Wait()
}

// addReplica wires reports, Events and, for the replica that leads, the status of policies and the companions of pods.
func addReplica(ctx context.Context, mgr manager.Manager, k known, serving certificates, o *Options) (*replica, error) {
	p := k.policies
	if o.Namespace == "" {
		return nil, nil //nolint:nilnil // nil is a replica that writes nothing
	}
	coordination, err := coordinationclient.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make a client for Leases: %w", err)
	}
	core, err := coreclient.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make a client for Events: %w", err)
	}
	leases := coordination.Leases(o.Namespace)
	own := &replica{
		events: newEvents(func(ctx context.Context, event *corev1.Event) error {
			_, err := core.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
			return err
		}, o.Log.WithName("events")),
		reports: &reports{
			leases: leases, namespace: o.Namespace, identity: o.Identity,
			hash: p.hash, fitted: p.fitted.report, swapped: newSignal(),
			authorities: serving.Authorities, authoritiesChanged: serving.Changed(), log: o.Log.WithName("reports"),
		},
	}
	statuses, err := newStatuses(ctx, mgr, p, leases, o)
	if err != nil {
		return nil, err
	}
	companions, err := newCompanions(mgr, k, o.Log)
	if err != nil {
		return nil, err
	}
	p.swapped = append(p.swapped, own.reports.swapped, statuses.policiesChanged, companions.policiesChanged)
	leading := newLeader(leaderLease, coordination, o, both(statuses.lead, companions.lead), o.Log)
	if err := errors.Join(mgr.Add(own.events), mgr.Add(own.reports), mgr.Add(leading)); err != nil {
		return nil, fmt.Errorf("set up the replica's reports: %w", err)
	}
	return own, nil
}

// identityOf names this replica in a way that a Lease can have.
func identityOf(o *Options) (string, error) {
	identity := o.Identity
	if identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("find a name for this replica (give it one): %w", err)
		}
		const suffix = 5
		identity = strings.ToLower(host) + "-" + utilrand.String(suffix)
	}
	if problems := validation.IsDNS1123Subdomain(leasePrefix + identity); len(problems) > 0 {
		return "", fmt.Errorf("the replica's identity %q can't be part of a Lease's name: %s", identity, strings.Join(problems, ", "))
	}
	return identity, nil
}

func newStatuses(ctx context.Context, mgr manager.Manager, p *policies, leases coordinationclient.LeaseInterface, o *Options) (*statuses, error) {
	s := &statuses{
		policies: mgr.GetCache(),
		current:  p.current.Load,
		status:   mgr.GetClient().Status(),
		leases:   replicaLeases(leases),
		forget: func(ctx context.Context, lease *coordinationv1.Lease) error {
			ctx, cancel := context.WithTimeout(ctx, writeTimeout)
			defer cancel()
			// Unless it has reported after all.
			err := leases.Delete(ctx, lease.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &lease.ResourceVersion}})
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				return nil
			}
			return err
		},
		log:             o.Log.WithName("status"),
		policiesChanged: newSignal(),
		leasesChanged:   newSignal(),
	}
	raise := func(any) { s.policiesChanged.raise() }
	return s, onPolicyEvents(ctx, mgr.GetCache(), toolscache.ResourceEventHandlerFuncs{
		AddFunc: raise, DeleteFunc: raise, UpdateFunc: func(any, any) { s.policiesChanged.raise() },
	})
}

// replicaLeases are the Leases that replicas report with. The leader alone follows them, not through the manager's cache:
// for that one every replica would wait before it answers.
func replicaLeases(leases coordinationclient.LeaseInterface) toolscache.ListerWatcher {
	const selector = labelComponent + "=" + componentReplica
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return leases.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return leases.Watch(ctx, o)
		},
	}
}
