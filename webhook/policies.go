package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsjson "sigs.k8s.io/json"

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
	// changed holds at most one signal, so a burst of changes is one compilation.
	changed chan struct{}
	current atomic.Pointer[policySet]
}

// policySet is what pods are fitted by until the next change.
type policySet struct {
	compiled   *policy.Compiled
	unreadable []policy.Denial
	// versions are the policies' uids and generations: equal versions are equal policies.
	versions string
}

// watchPolicies follows both kinds. exempt are the product's own namespaces.
func watchPolicies(ctx context.Context, c cache.Cache, exempt []string, log logr.Logger) (*policies, error) {
	p := &policies{reader: c, exempt: exempt, log: log.WithName("policies"), changed: make(chan struct{}, 1)}
	notify := toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { p.signal() },
		UpdateFunc: func(any, any) { p.signal() },
		DeleteFunc: func(any) { p.signal() },
	}
	for _, kind := range []string{kindClusterSpawnPolicy, kindSpawnPolicy} {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		informer, err := c.GetInformer(ctx, object)
		if err != nil {
			return nil, fmt.Errorf("watch kind %s (are Slipway's CRDs installed?): %w", kind, err)
		}
		if _, err := informer.AddEventHandler(notify); err != nil {
			return nil, fmt.Errorf("watch kind %s: %w", kind, err)
		}
	}
	return p, nil
}

func (p *policies) signal() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
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
	for _, d := range set.unreadable {
		if d.Policy.Namespace == "" || d.Policy.Namespace == in.Namespace.Name {
			result.Denials = append(result.Denials, d)
		}
	}
	return result, true, nil
}

// refresh compiles the policies of the cache unless they are those of the current set.
func (p *policies) refresh(ctx context.Context) error {
	var objects []unstructured.Unstructured
	for _, kind := range []string{kindClusterSpawnPolicy, kindSpawnPolicy} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
		if err := p.reader.List(ctx, list); err != nil {
			return fmt.Errorf("list kind %s from the cache: %w", kind, err)
		}
		objects = append(objects, list.Items...)
	}
	versions := versionsOf(objects)
	if last := p.current.Load(); last != nil && last.versions == versions {
		return nil
	}
	set := compile(objects, p.exempt)
	set.versions = versions
	p.current.Store(set)
	p.report(len(objects), set)
	return nil
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
	set := &policySet{}
	all := policy.Policies{Exempt: exempt}
	for i := range objects {
		object := &objects[i]
		spec, err := decodeSpec(object)
		if err != nil {
			set.unreadable = append(set.unreadable, unreadable(object, err))
			continue
		}
		if object.GetKind() == kindClusterSpawnPolicy {
			c := v1alpha1.ClusterSpawnPolicy{Spec: *spec}
			c.Name, c.Generation = object.GetName(), object.GetGeneration()
			all.Cluster = append(all.Cluster, c)
			continue
		}
		n := v1alpha1.SpawnPolicy{Spec: *spec}
		n.Namespace, n.Name, n.Generation = object.GetNamespace(), object.GetName(), object.GetGeneration()
		all.Namespaced = append(all.Namespaced, n)
	}
	set.compiled = policy.Compile(all)
	return set
}

// decodeSpec is strict: a field that the CRD has and this replica doesn't know, as in the middle of an upgrade, must
// not be ignored.
func decodeSpec(object *unstructured.Unstructured) (*v1alpha1.SpawnPolicySpec, error) {
	data, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return nil, fmt.Errorf("encode the spec: %w", err)
	}
	spec := &v1alpha1.SpawnPolicySpec{}
	unknown, err := sigsjson.UnmarshalStrict(data, spec)
	if err := errors.Join(append([]error{err}, unknown...)...); err != nil {
		return nil, err
	}
	return spec, nil
}

// unreadable is what the pods of a policy get that can't even be decoded. Whom it is for can't be told then, so it
// is for every pod of its namespace, or of the cluster.
func unreadable(object *unstructured.Unstructured, err error) policy.Denial {
	return policy.Denial{
		Code: policy.PolicyInvalid,
		Policy: &policy.PolicyRef{
			Namespace: object.GetNamespace(), Name: object.GetName(), Generation: object.GetGeneration(),
		},
		Field:   "spec",
		Message: "can't be read: " + strings.ReplaceAll(err.Error(), "\n", ", "),
	}
}

// report logs which policies can't be used. The messages stay out of it: they may quote values.
func (p *policies) report(count int, set *policySet) {
	p.log.Info("compiled", "policies", count)
	for _, e := range set.compiled.Errors() {
		p.log.Info("a policy is invalid and denies the pods that it matches", "policy", e.Policy.String(), "field", e.Field)
	}
	for _, d := range set.unreadable {
		p.log.Info("a policy can't be read and denies every pod that it could be for", "policy", d.Policy.String())
	}
}
