package webhook

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

const (
	// leaderLease is the Lease that the replicas compete for to write the policies' conditions and to make companions.
	leaderLease = component

	// These are the periods of Kubernetes' own controllers.
	leadFor       = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// leader has something done by one replica at a time: the policies' conditions are written and companions made, or certificates are made.
//
// The manager's own leader election ends the whole process when a Lease is lost, and cuts off requests: a slow API
// server would make the webhook slower still. Here a replica that lost goes on answering and stands again.
type leader struct {
	// name is the Lease's.
	name string
	lock resourcelock.Interface
	// lead works until ctx ends.
	lead func(ctx context.Context)
	log  logr.Logger
}

// newLeader competes for a Lease of the replicas' namespace.
func newLeader(name string, leases coordinationclient.LeasesGetter, o *Options, lead func(context.Context), log logr.Logger) *leader {
	return &leader{
		name: name,
		lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: o.Namespace, Name: name},
			Client:     leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: o.Identity},
		},
		lead: lead,
		log:  log.WithName("leader"),
	}
}

// both leads in two ways at once.
func both(one, other func(ctx context.Context)) func(ctx context.Context) {
	return func(ctx context.Context) {
		var group sync.WaitGroup
		group.Go(func() { one(ctx) })
		group.Go(func() { other(ctx) })
		group.Wait()
	}
}

// Start stands for election until ctx ends, and then gives the Lease up at once. A nil leader has nothing to lead in.
func (l *leader) Start(ctx context.Context) error {
	if l == nil {
		return nil
	}
	ctx = klog.NewContext(ctx, l.log)
	for ctx.Err() == nil {
		ended := make(chan struct{})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: l.lock, Name: l.name, ReleaseOnCancel: true,
			LeaseDuration: leadFor, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					defer close(ended)
					l.lead(ctx)
				},
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return fmt.Errorf("stand for election: %w", err)
		}
		elector.Run(ctx)
		if ctx.Err() == nil { // it was elected and has lost: one term must be over before the next
			<-ended
		}
	}
	return nil
}

// NeedLeaderElection is false: the manager must not wait for an election of its own.
func (l *leader) NeedLeaderElection() bool { return false }
