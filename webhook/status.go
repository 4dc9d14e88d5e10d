package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// retryWrite is the pause after a status that could not be written.
	retryWrite = 3 * time.Second
	// writeTimeout bounds one request of the leader's.
	writeTimeout = 5 * time.Second
)

// statusWriter writes the status of policies; client.SubResourceWriter is one.
type statusWriter interface {
	Update(ctx context.Context, object client.Object, o ...client.SubResourceUpdateOption) error
}

// statuses keeps the policies' status: whether each is Ready, by this replica's own reading, whether it is Enforced and how
// many pods it fitted, by the reports of all replicas. The leader does that. It writes what has changed, and puts right
// what others have written.
type statuses struct {
	// policies are the informers' cache.
	policies client.Reader
	// current is what this replica answers by.
	current func() *policySet
	status  statusWriter
	leases  toolscache.ListerWatcher
	// forget deletes the Lease of a replica that ended without a word.
	forget func(ctx context.Context, lease *coordinationv1.Lease) error
	log    logr.Logger
	// policiesChanged is raised by the informers, and when current is another one; leasesChanged by that of the Leases.
	policiesChanged, leasesChanged signal

	// What follows is of one term as leader.

	// want is the hash of all policies as they are stored.
	want     string
	followed map[types.UID]*followed
	// replicas are those that have a Lease, by its name.
	replicas map[string]*reported
}

// reported is the last report of a replica. Expiry counts from when it was seen here: clocks may differ.
type reported struct {
	version string
	hash    string
	fitted  map[types.UID]tally
	expires time.Time
}

// lead works until ctx ends.
func (s *statuses) lead(ctx context.Context) {
	raise := func(any) { s.leasesChanged.raise() }
	leases, informer := toolscache.NewInformerWithOptions(toolscache.InformerOptions{
		ListerWatcher: s.leases, ObjectType: &coordinationv1.Lease{},
		Handler: toolscache.ResourceEventHandlerFuncs{
			AddFunc: raise, DeleteFunc: raise, UpdateFunc: func(any, any) { s.leasesChanged.raise() },
		},
	})
	go informer.RunWithContext(ctx)
	// Some of the replicas must not be taken for all.
	if toolscache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		leading.Set(1)
		defer leading.Set(0)
		s.follow(ctx, leases)
	}
}

// follow judges whenever a policy or a Lease changes, or time alone changes something.
func (s *statuses) follow(ctx context.Context, leases toolscache.Store) {
	s.followed, s.replicas = nil, map[string]*reported{}
	s.readPolicies(ctx)
	for {
		s.readReports(ctx, leases)
		var timer <-chan time.Time
		if again := s.judge(ctx); !again.IsZero() {
			timer = time.After(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return
		case <-s.policiesChanged:
			s.readPolicies(ctx)
		case <-s.leasesChanged:
		case <-timer:
		}
	}
}

func (s *statuses) readPolicies(ctx context.Context) {
	// Shared with the cache; write makes a copy.
	objects, err := listPolicies(ctx, s.policies, client.UnsafeDisableDeepCopy)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error(err, "can't read the policies")
		}
		return
	}
	s.want = hashOf(versionsOf(objects))
	following := make(map[types.UID]*followed, len(objects))
	for i := range objects {
		object := &objects[i]
		f := s.followed[object.GetUID()]
		if f == nil {
			f = &followed{}
		}
		if err := f.take(object, s.followed == nil); err != nil {
			s.log.Error(err, "writes a policy's status anew", "namespace", object.GetNamespace(), "policy", object.GetName())
		}
		following[object.GetUID()] = f
	}
	s.followed = following
}

// readReports takes the replicas' Leases in, and notes which policies have arrived.
func (s *statuses) readReports(ctx context.Context, leases toolscache.Store) {
	now := time.Now()
	replicas := map[string]*reported{}
	for _, object := range leases.List() {
		lease, ok := object.(*coordinationv1.Lease)
		if !ok || lease.Spec.LeaseDurationSeconds == nil {
			continue
		}
		r := s.replicas[lease.Name]
		if r == nil || r.version != lease.ResourceVersion {
			r = s.readReport(lease, now)
		}
		if !now.Before(r.expires) {
			if err := s.forget(ctx, lease); err != nil && ctx.Err() == nil {
				s.log.Error(err, "can't delete an expired Lease", "lease", lease.Name)
			}
		}
		replicas[lease.Name] = r
		if r.hash != s.want {
			continue
		}
		for _, f := range s.followed {
			f.arrived(lease.Name, now)
		}
	}
	s.replicas = replicas
}

func (s *statuses) readReport(lease *coordinationv1.Lease, now time.Time) *reported {
	r := &reported{
		version: lease.ResourceVersion, hash: lease.Annotations[annotationPolicies],
		expires: now.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second),
	}
	var err error
	if r.fitted, err = readTallies(lease.Annotations[annotationFitted]); err != nil {
		s.log.Error(err, "counts what this replica fitted as nothing", "lease", lease.Name)
	}
	return r
}

// judge writes each status that has changed, and says when to come again though nothing happens; zero: not at all.
func (s *statuses) judge(ctx context.Context) (again time.Time) {
	var verdicts map[types.UID]verdict
	if set := s.current(); set != nil {
		verdicts = set.verdicts
	}
	for uid, f := range s.followed {
		v := verdicts[uid]
		if v.ready.ObservedGeneration != f.generation {
			continue // this replica itself hasn't read it yet, and tells when it has
		}
		now := time.Now()
		next, until := f.next(&v, s.replicas, s.fittedBy(uid, now), now)
		if err := s.write(ctx, f, next, now); err != nil && ctx.Err() == nil {
			s.log.Error(err, "can't write a policy's status", "namespace", f.object.GetNamespace(), "policy", f.object.GetName())
			until = earlier(until, time.Now().Add(retryWrite))
		}
		again = earlier(again, until)
	}
	return again
}

// fittedBy adds up what all replicas counted for a policy.
func (s *statuses) fittedBy(uid types.UID, now time.Time) tally {
	var sum tally
	for _, r := range s.replicas {
		if now.Before(r.expires) {
			sum = sum.plus(r.fitted[uid])
		}
	}
	return sum
}

// write leaves a conflict, and a policy that is gone, to the informer: it brings what has changed meanwhile.
func (s *statuses) write(ctx context.Context, f *followed, next *statement, now time.Time) error {
	if next == nil {
		return nil
	}
	encoded, err := runtime.DefaultUnstructuredConverter.ToUnstructured(next.status)
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	object := f.object.DeepCopy()
	object.Object["status"] = encoded
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err = s.status.Update(ctx, object)
	countWrite(statusWrites, err)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		s.log.V(1).Info("a policy changed meanwhile", "namespace", object.GetNamespace(), "policy", object.GetName())
		return nil
	case err != nil:
		return err
	}
	f.wrote(next, now)
	return nil
}
