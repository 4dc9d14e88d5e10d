package webhook

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationapply "k8s.io/client-go/applyconfigurations/coordination/v1"

	"github.com/slipway-hub/slipway/certs"
)

const (
	// annotationPolicies holds, on a replica's Lease, the hash of the policies by which it answers.
	annotationPolicies = "slipway.dev/policies"
	// annotationFitted holds there how many pods each policy fitted in this replica: {"<uid>": {"n": 3, "t": 1767225600}}.
	annotationFitted = "slipway.dev/fitted"
	// labelComponent tells the replicas' Leases from others in the same namespace.
	labelComponent   = "app.kubernetes.io/component"
	componentReplica = "webhook-replica"
	// leasePrefix and an identity make the name of a replica's Lease. Without the dash it is the leader's.
	leasePrefix = leaderLease + "-"

	// reportDuration is how long a replica counts after its last report: as long as a few failed ones.
	reportDuration = 15 * time.Second
	// reportEvery is the time between two reports, if nothing changes, and after one that failed.
	reportEvery = 3 * time.Second
	// withdrawTimeout bounds the last word of a replica that ends.
	withdrawTimeout = 2 * time.Second
)

// leaseWriter is what a replica needs to keep its own Lease.
type leaseWriter interface {
	Apply(context.Context, *coordinationapply.LeaseApplyConfiguration, metav1.ApplyOptions) (*coordinationv1.Lease, error)
	Delete(ctx context.Context, name string, o metav1.DeleteOptions) error
}

// reports keeps a Lease that says by which policies this replica answers, and how many pods they fitted, so that the leader
// needs to ask nobody. It is beside the answering: a report that fails is logged and tried again.
type reports struct {
	leases    leaseWriter
	namespace string
	identity  string
	// hash is empty before the replica can answer.
	hash func() string
	// fitted is empty where nothing was fitted.
	fitted  func() string
	swapped signal
	// authorities are those that clients must trust for this replica's sake; empty where nobody knows.
	authorities        func() string
	authoritiesChanged <-chan struct{}
	log                logr.Logger
}

// Start reports at once when the policies or the certificate were swapped, and every few seconds, until ctx ends.
func (r *reports) Start(ctx context.Context) error {
	for {
		if hash := r.hash(); hash != "" {
			if err := r.report(ctx, hash); err != nil && ctx.Err() == nil {
				r.log.Error(err, "can't report by which policies this replica answers", "lease", r.name())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.swapped:
		case <-r.authoritiesChanged:
		case <-time.After(reportEvery):
		}
	}
}

// NeedLeaderElection is false: every replica reports.
func (r *reports) NeedLeaderElection() bool { return false }

func (r *reports) name() string { return leasePrefix + r.identity }

func (r *reports) report(ctx context.Context, hash string) (err error) {
	defer func() { countWrite(replicaReports, err) }()
	ctx, cancel := context.WithTimeout(ctx, reportEvery)
	defer cancel()
	annotations := map[string]string{annotationPolicies: hash}
	if fitted := r.fitted(); fitted != "" {
		annotations[annotationFitted] = fitted
	}
	if authorities := r.authorities(); authorities != "" {
		annotations[certs.AnnotationAuthorities] = authorities
	}
	lease := coordinationapply.Lease(r.name(), r.namespace).
		WithLabels(map[string]string{labelComponent: componentReplica}).
		WithAnnotations(annotations).
		WithSpec(coordinationapply.LeaseSpec().
			WithHolderIdentity(r.identity).
			WithLeaseDurationSeconds(int32(reportDuration / time.Second)).
			WithRenewTime(metav1.NowMicro()))
	_, err = r.leases.Apply(ctx, lease, metav1.ApplyOptions{FieldManager: component, Force: true})
	return err
}

// withdraw takes the Lease away, so that nobody waits for a replica that has answered its last request.
func (r *reports) withdraw(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	if err := r.leases.Delete(ctx, r.name(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		r.log.Error(err, "can't withdraw; until the Lease expires, no newer policy counts as enforced", "lease", r.name())
	}
}
