package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

const (
	// enforcedAfter is the time from the last replica's report to the condition: then no replica accepts what was fitted by
	// an older generation, and no such answer is on its way.
	enforcedAfter = supersededFor + time.Second
	// retryWrite is the pause after a status that could not be written.
	retryWrite = 3 * time.Second
	// writeTimeout bounds one request of the leader's.
	writeTimeout = 5 * time.Second
)

// statusWriter writes the status of policies; client.SubResourceWriter is one.
type statusWriter interface {
	Update(ctx context.Context, object client.Object, o ...client.SubResourceUpdateOption) error
}

// enforcement says on each policy whether its generation is enforced: whether every replica answers by it. The leader
// does that, from the replicas' own reports. It writes to a policy until the condition is True for its generation
// and then leaves it alone, so a replica that joins later, and reads the policies before it answers, changes nothing.
type enforcement struct {
	// policies are the informers' cache.
	policies client.Reader
	status   statusWriter
	leases   toolscache.ListerWatcher
	// forget deletes the Lease of a replica that ended without a word.
	forget func(ctx context.Context, lease *coordinationv1.Lease) error
	log    logr.Logger
	// policiesChanged and leasesChanged are raised by the informers.
	policiesChanged, leasesChanged signal

	// What follows is of one term as leader.

	// want is the hash of all policies as they are stored.
	want string
	// pending are the policies without the condition for their generation.
	pending map[types.UID]*propagation
	// replicas are those that have a Lease, by its name.
	replicas map[string]*reported
}

// propagation is how far one generation of a policy has got.
type propagation struct {
	object *unstructured.Unstructured
	// holds says when a replica was first seen to answer by this generation. Later reports, of policies that others
	// have changed meanwhile, take nothing back.
	holds map[string]time.Time
	// written is the resourceVersion that the last status was written over: an object of that version is outdated.
	written string
}

// reported is the last report of a replica. Expiry counts from when it was seen here: clocks may differ.
type reported struct {
	version string
	hash    string
	expires time.Time
}

// lead works until ctx ends.
func (e *enforcement) lead(ctx context.Context) {
	raise := func(any) { e.leasesChanged.raise() }
	leases, informer := toolscache.NewInformerWithOptions(toolscache.InformerOptions{
		ListerWatcher: e.leases, ObjectType: &coordinationv1.Lease{},
		Handler: toolscache.ResourceEventHandlerFuncs{
			AddFunc: raise, DeleteFunc: raise, UpdateFunc: func(any, any) { e.leasesChanged.raise() },
		},
	})
	go informer.RunWithContext(ctx)
	// Some of the replicas must not be taken for all.
	if toolscache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		e.follow(ctx, leases)
	}
}

// follow judges whenever a policy or a Lease changes, or time alone changes something.
func (e *enforcement) follow(ctx context.Context, leases toolscache.Store) {
	e.pending, e.replicas = map[types.UID]*propagation{}, map[string]*reported{}
	e.readPolicies(ctx)
	for {
		e.readReports(ctx, leases)
		var timer <-chan time.Time
		if again := e.judge(ctx); !again.IsZero() {
			timer = time.After(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return
		case <-e.policiesChanged:
			e.readPolicies(ctx)
		case <-e.leasesChanged:
		case <-timer:
		}
	}
}

func (e *enforcement) readPolicies(ctx context.Context) {
	// Shared with the cache; withCondition makes a copy.
	objects, err := listPolicies(ctx, e.policies, client.UnsafeDisableDeepCopy)
	if err != nil {
		if ctx.Err() == nil {
			e.log.Error(err, "can't read the policies")
		}
		return
	}
	e.want = hashOf(versionsOf(objects))
	pending := map[types.UID]*propagation{}
	for i := range objects {
		object := &objects[i]
		if isEnforced(object) {
			continue
		}
		p := e.pending[object.GetUID()]
		if p == nil || p.object.GetGeneration() != object.GetGeneration() {
			p = &propagation{holds: map[string]time.Time{}}
		}
		p.object = object
		pending[object.GetUID()] = p
	}
	e.pending = pending
}

// readReports takes the replicas' Leases in, and notes which policies have arrived.
func (e *enforcement) readReports(ctx context.Context, leases toolscache.Store) {
	now := time.Now()
	replicas := map[string]*reported{}
	for _, object := range leases.List() {
		lease, ok := object.(*coordinationv1.Lease)
		if !ok || lease.Spec.LeaseDurationSeconds == nil {
			continue
		}
		r := e.replicas[lease.Name]
		if r == nil || r.version != lease.ResourceVersion {
			r = &reported{
				version: lease.ResourceVersion, hash: lease.Annotations[annotationPolicies],
				expires: now.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second),
			}
		}
		if !now.Before(r.expires) {
			if err := e.forget(ctx, lease); err != nil && ctx.Err() == nil {
				e.log.Error(err, "can't delete an expired Lease", "lease", lease.Name)
			}
		}
		replicas[lease.Name] = r
		if r.hash != e.want {
			continue
		}
		for _, p := range e.pending {
			if _, known := p.holds[lease.Name]; !known {
				p.holds[lease.Name] = now
			}
		}
	}
	e.replicas = replicas
}

// judge writes the conditions that have changed, and says when to come again though nothing happens; zero: not at all.
func (e *enforcement) judge(ctx context.Context) (again time.Time) {
	for _, p := range e.pending {
		condition, until := e.condition(p, time.Now())
		if err := e.write(ctx, p, condition); err != nil && ctx.Err() == nil {
			e.log.Error(err, "can't write a policy's status", "namespace", p.object.GetNamespace(), "policy", p.object.GetName())
			until = earlier(until, time.Now().Add(retryWrite))
		}
		again = earlier(again, until)
	}
	return again
}

// condition is what holds now for a policy, and until when if nothing happens; zero: for ever.
func (e *enforcement) condition(p *propagation, now time.Time) (c metav1.Condition, until time.Time) {
	var last time.Time
	replicas, holding := 0, 0
	for name, r := range e.replicas {
		if !now.Before(r.expires) {
			continue
		}
		replicas++
		since, holds := p.holds[name]
		if !holds {
			until = earlier(until, r.expires)
			continue
		}
		holding++
		if since.After(last) {
			last = since
		}
	}
	generation := p.object.GetGeneration()
	c = metav1.Condition{
		Type: v1alpha1.ConditionEnforced, Status: metav1.ConditionFalse, ObservedGeneration: generation, Reason: v1alpha1.ReasonPropagating,
		Message: fmt.Sprintf("%d of %d replicas of the webhook answer by generation %d.", holding, replicas, generation),
	}
	switch done := last.Add(enforcedAfter); {
	case holding < replicas || replicas == 0:
		return c, until
	case now.Before(done):
		c.Message = fmt.Sprintf("All replicas of the webhook (%d) answer by generation %d; what they answered before may still be on its way.", replicas, generation)
		return c, done
	}
	c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonAllReplicas
	c.Message = fmt.Sprintf("All replicas of the webhook (%d) answer by generation %d.", replicas, generation)
	return c, time.Time{}
}

// write leaves a conflict, and a policy that is gone, to the informer: it brings what has changed meanwhile.
func (e *enforcement) write(ctx context.Context, p *propagation, c metav1.Condition) error {
	version := p.object.GetResourceVersion()
	if p.written == version {
		return nil // the cache doesn't have our last word yet
	}
	object, err := withCondition(p.object, c)
	if err != nil || object == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err = e.status.Update(ctx, object)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		e.log.V(1).Info("a policy changed meanwhile", "namespace", object.GetNamespace(), "policy", object.GetName())
		return nil
	case err != nil:
		return err
	}
	p.written = version
	return nil
}

// statusOfPolicy reads a policy's status.
func statusOfPolicy(object *unstructured.Unstructured) (*v1alpha1.SpawnPolicyStatus, error) {
	policy := struct {
		Status v1alpha1.SpawnPolicyStatus `json:"status"`
	}{}
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"status": object.Object["status"]}, &policy)
	return &policy.Status, err
}

// isEnforced says whether a policy has the condition for its generation.
func isEnforced(object *unstructured.Unstructured) bool {
	status, err := statusOfPolicy(object)
	if err != nil {
		return false
	}
	c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionEnforced)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == object.GetGeneration()
}

// withCondition gives a copy of a policy with the condition; nil if it has it already.
func withCondition(object *unstructured.Unstructured, c metav1.Condition) (*unstructured.Unstructured, error) {
	status, err := statusOfPolicy(object)
	if err != nil {
		return nil, fmt.Errorf("read the status: %w", err)
	}
	if !meta.SetStatusCondition(&status.Conditions, c) && status.ObservedGeneration == c.ObservedGeneration {
		return nil, nil //nolint:nilnil // there is nothing to write, and that is no error
	}
	status.ObservedGeneration = c.ObservedGeneration
	written, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	object = object.DeepCopy()
	object.Object["status"] = written
	return object, nil
}

// earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
