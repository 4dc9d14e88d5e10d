package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

const (
	// leaderLease is the Lease that the replicas compete for.
	leaderLease = component

	// These are the periods of Kubernetes' own controllers.
	leadFor       = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// leader has the cluster's conditions written by one replica at a time.
//
// The manager's own leader election ends the whole process when a Lease is lost, and cuts off requests: a slow API
// server would make the webhook slower still. Here a replica that lost goes on answering and stands again.
type leader struct {
	lock resourcelock.Interface
	// lead works until ctx ends.
	lead func(ctx context.Context)
	log  logr.Logger
}

// Start stands for election until ctx ends, and then gives the Lease up at once.
func (l *leader) Start(ctx context.Context) error {
	ctx = klog.NewContext(ctx, l.log)
	for ctx.Err() == nil {
		ended := make(chan struct{})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: l.lock, Name: leaderLease, ReleaseOnCancel: true,
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
