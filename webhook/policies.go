package webhook

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

const (
	kindSpawnPolicy        = "SpawnPolicy"
	kindClusterSpawnPolicy = "ClusterSpawnPolicy"
)

// policies holds the cluster's policies, compiled. They are compiled when they change and never per request; requests
// read the last compiled set without a lock.
//
// The informers hold them untyped, and each is decoded by itself. Were they typed, a single object that the schema
// admits and Go doesn't (a quantity of 1e1.5) would fail the whole list: whoever may write a policy in one namespace
// could stop every hub of the cluster.
type policies struct {
	reader client.Reader
	exempt []string
	log    logr.Logger
	// changed is raised when there may be something to compile.
	changed signal
	// swapped are raised after current was replaced.
	swapped []signal
	// fitted counts what pods the policies fit; nil doesn't.
	fitted  *fittings
	current atomic.Pointer[policySet]
	// now is time.Now, but for tests.
	now func() time.Time
}

// policySet is what pods are fitted by until the next change.
type policySet struct {
	compiled   *policy.Compiled
	unreadable policy.Unreadable
	// verdicts are on each policy by itself, by uid.
	verdicts map[types.UID]verdict
	// versions are the policies' uids and generations: equal versions are equal policies.
	versions string
	// since is when requests began to be answered by this set, and older the one before it, for a while.
	since time.Time
	older *policySet
}

const (
	// supersededFor is how long a set that was replaced here is still good for verifying: between the two webhooks of one
	// request a policy may change, and another replica may hear of it earlier.
	supersededFor = 5 * time.Second
	// maxSuperseded bounds how many of them are kept; the rest of a burst of changes is retried.
	maxSuperseded = 16
)

// watchPolicies follows both kinds. exempt are the product's own namespaces.
func watchPolicies(ctx context.Context, c cache.Cache, exempt []string, log logr.Logger) (*policies, error) {
	p := &policies{reader: c, exempt: exempt, log: log.WithName("policies"), changed: newSignal(), fitted: &fittings{}, now: time.Now}
	return p, onPolicyEvents(ctx, c, toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { p.changed.raise() },
		UpdateFunc: func(old, changed any) {
			// A status that says how policies fare must not have every replica read all of them again.
			if !sameVersion(old, changed) {
				p.changed.raise()
			}
		},
		DeleteFunc: func(any) { p.changed.raise() },
	})
}

// onPolicyEvents has the handler called for every event of both kinds.
func onPolicyEvents(ctx context.Context, c cache.Cache, handler toolscache.ResourceEventHandler) error {
	for _, kind := range []string{kindClusterSpawnPolicy, kindSpawnPolicy} {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		informer, err := c.GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watch kind %s (are Slipway's CRDs installed?): %w", kind, err)
		}
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch kind %s: %w", kind, err)
		}
	}
	return nil
}

// sameVersion: an update of an object that was deleted and made anew meanwhile has the old generation, perhaps.
func sameVersion(old, changed any) bool {
	a, isA := old.(*unstructured.Unstructured)
	b, isB := changed.(*unstructured.Unstructured)
	return isA && isB && a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration()
}

// Start compiles the policies, which the manager has by then in its cache, and does so again at every change until
// ctx ends.
func (p *policies) Start(ctx context.Context) error {
	for {
		if err := p.refresh(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
		}
	}
}

// NeedLeaderElection is false: every replica answers requests.
func (p *policies) NeedLeaderElection() bool { return false }

// Ready is nil once the first set is compiled. The request isn't used.
func (p *policies) Ready(*http.Request) error {
	if p.current.Load() == nil {
		return errors.New("the policies aren't read yet")
	}
	return nil
}

// Apply fits a pod by the current set.
func (p *policies) Apply(in policy.Input) (policy.Result, bool, error) {
	set := p.current.Load()
	if set == nil {
		return policy.Result{}, false, nil
	}
	result, err := set.compiled.Apply(in)
	if err != nil {
		return policy.Result{}, true, fmt.Errorf("apply policies: %w", err)
	}
	set.unreadable.AddTo(&result, in.Namespace.Name)
	return result, true, nil
}

// Verify judges a final pod by the set by which it was fitted: this one or, for a while, an older one. A pod that none of
// them made is to be tried again.
func (p *policies) Verify(in policy.Input, pod *corev1.Pod) ([]policy.Denial, bool) {
	current := p.current.Load()
	if current == nil {
		return nil, false
	}
	now := p.now()
	var refused []policy.Denial
	for set := current; set != nil; set = set.older {
		switch denials, known := set.compiled.Verify(in, pod); {
		case known && len(denials) > 0 && !policy.IsFitted(pod):
			// Another set may have let it pass as it is: an audited policy may be enforced since.
			if refused == nil {
				refused = slices.Concat(denials, set.unreadable.In(in.Namespace.Name))
			}
		case known:
			return append(denials, set.unreadable.In(in.Namespace.Name)...), true
		}
		if now.Sub(set.since) > supersededFor {
			break // what is older was replaced that long ago
		}
	}
	if refused != nil {
		return refused, true
	}
	return []policy.Denial{{Code: policy.PolicyChanged, Field: "metadata.annotations[" + policy.AnnotationApplied + "]",
		Message: "policy changed while this pod was admitted: try again"}}, true
}

// Update judges a change of a pod that exists by the current set.
func (p *policies) Update(in policy.Input, before, after *corev1.Pod, sub policy.Subresource) ([]policy.Denial, *policy.AuditReport, bool) {
	set := p.current.Load()
	if set == nil {
		return nil, nil, false
	}
	denials, report := set.compiled.Update(in, before, after, sub)
	return append(denials, set.unreadable.In(in.Namespace.Name)...), report, true
}

// recent gives this set and those before it that were replaced less than supersededFor ago, n at most. It copies them:
// others are reading these.
func (s *policySet) recent(now time.Time, n int) *policySet {
	if s == nil || n == 0 {
		return nil
	}
	own := *s
	own.older = nil
	if now.Sub(s.since) <= supersededFor {
		own.older = s.older.recent(now, n-1)
	}
	return &own
}

// refresh compiles the policies of the cache unless they are those of the current set.
func (p *policies) refresh(ctx context.Context) error {
	objects, err := listPolicies(ctx, p.reader)
	if err != nil {
		return err
	}
	versions := versionsOf(objects)
	if last := p.current.Load(); last != nil && last.versions == versions {
		return nil
	}
	started := time.Now()
	set := compile(objects, p.exempt)
	compileDurations.Observe(time.Since(started).Seconds())
	set.versions, set.since = versions, p.now()
	set.older = p.current.Load().recent(set.since, maxSuperseded)
	p.fitted.follow(objects)
	p.current.Store(set)
	readiness.follow(objects, set.verdicts)
	p.report(len(objects), set)
	for _, s := range p.swapped {
		s.raise()
	}
	return nil
}

// hash names the current set: replicas with the same hash fit pods by the same policies. "" before the first set.
func (p *policies) hash() string {
	set := p.current.Load()
	if set == nil {
		return ""
	}
	return hashOf(set.versions)
}

func hashOf(versions string) string {
	sum := sha256.Sum256([]byte(versions))
	return hex.EncodeToString(sum[:])
}

// listPolicies gives the policies of both kinds.
func listPolicies(ctx context.Context, from client.Reader, o ...client.ListOption) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	for _, kind := range []string{kindClusterSpawnPolicy, kindSpawnPolicy} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
		if err := from.List(ctx, list, o...); err != nil {
			return nil, fmt.Errorf("list kind %s from the cache: %w", kind, err)
		}
		objects = append(objects, list.Items...)
	}
	return objects, nil
}

// versionsOf orders the objects, and gives a text that changes whenever one of their specs does.
func versionsOf(objects []unstructured.Unstructured) string {
	slices.SortFunc(objects, func(a, b unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	var b strings.Builder
	for i := range objects {
		fmt.Fprintf(&b, "%s %d\n", objects[i].GetUID(), objects[i].GetGeneration())
	}
	return b.String()
}

func compile(objects []unstructured.Unstructured, exempt []string) *policySet {
	all, unreadable := policy.FromObjects(objects)
	all.Exempt = exempt
	set := &policySet{compiled: policy.Compile(all), unreadable: unreadable}
	set.verdicts = verdictsOf(objects, set)
	return set
}

// report logs which policies can't be used. The messages stay out of it: they may quote values.
func (p *policies) report(count int, set *policySet) {
	p.log.Info("compiled", "policies", count)
	for _, e := range set.compiled.Errors() {
		p.log.Info("a policy is invalid and, unless it is audited, denies the pods that it matches", "policy", e.Policy.String(), "field", e.Field)
	}
	for _, d := range set.unreadable.Audited {
		p.log.Info("an audited policy can't be read and isn't tried", "policy", d.Policy.String())
	}
	for _, d := range set.unreadable.Enforced {
		p.log.Info("a policy can't be read and denies every pod that it could be for", "policy", d.Policy.String())
	}
}
