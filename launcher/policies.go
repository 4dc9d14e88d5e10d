package launcher

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// policies are the cluster's, as far as they concern this launcher's namespaces: compiled when they change and never per request.
type policies struct {
	mu      sync.Mutex
	objects map[types.UID]*unstructured.Unstructured
	// changed is raised when there may be something to compile.
	changed chan struct{}
	current atomic.Pointer[policySet]
}

// policySet is one state of them.
type policySet struct {
	compiled   *policy.Compiled
	unreadable policy.Unreadable
	// replaced is closed when there is a newer one.
	replaced chan struct{}
}

func newPolicies() *policies {
	return &policies{objects: map[types.UID]*unstructured.Unstructured{}, changed: make(chan struct{}, 1)}
}

// informers of both kinds. Policies are held untyped, and each is read by itself: one that can't be read must not hide the others.
func (p *policies) informers(l *Launcher) []cache.Controller {
	informer := func(resource, kind, namespace string) cache.Controller {
		objects := l.dynamic.Resource(v1alpha1.GroupVersion.WithResource(resource)).Namespace(namespace)
		expected := &unstructured.Unstructured{}
		expected.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		return l.informer(lister{
			list:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return objects.List(ctx, o) },
			watch: objects.Watch,
		}, expected, specAlone, p.handler())
	}
	all := []cache.Controller{informer("clusterspawnpolicies", "ClusterSpawnPolicy", "")}
	for _, namespace := range l.namespaces() {
		all = append(all, informer("spawnpolicies", "SpawnPolicy", namespace))
	}
	return all
}

// specAlone leaves out of a policy what isn't needed of it.
func specAlone(object any) (any, error) {
	if o, ok := object.(*unstructured.Unstructured); ok {
		o.SetManagedFields(nil)
		o.SetAnnotations(nil)
		unstructured.RemoveNestedField(o.Object, "status")
	}
	return object, nil
}

func (p *policies) handler() cache.ResourceEventHandler {
	put := func(object any) {
		if o, ok := object.(*unstructured.Unstructured); ok {
			p.change(func() { p.objects[o.GetUID()] = o })
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: put,
		UpdateFunc: func(old, object any) {
			before, isBefore := old.(*unstructured.Unstructured)
			now, isNow := object.(*unstructured.Unstructured)
			if isBefore && isNow && before.GetUID() == now.GetUID() && before.GetGeneration() == now.GetGeneration() {
				return // its status alone
			}
			if isBefore && isNow && before.GetUID() != now.GetUID() {
				p.change(func() { delete(p.objects, before.GetUID()) })
			}
			put(object)
		},
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			if o, ok := object.(*unstructured.Unstructured); ok {
				p.change(func() { delete(p.objects, o.GetUID()) })
			}
		},
	}
}

func (p *policies) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// compile replaces the current set.
func (p *policies) compile() {
	p.mu.Lock()
	objects := make([]unstructured.Unstructured, 0, len(p.objects))
	for _, o := range p.objects {
		objects = append(objects, *o)
	}
	p.mu.Unlock()
	slices.SortFunc(objects, func(a, b unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	all, unreadable := policy.FromObjects(objects)
	before := p.current.Swap(&policySet{compiled: policy.Compile(all), unreadable: unreadable, replaced: make(chan struct{})})
	if before != nil {
		close(before.replaced)
	}
}

// follow compiles at every change until ctx ends.
func (p *policies) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
			p.compile()
		}
	}
}

// names gives the names of a server.
func (s *policySet) names(in policy.Input) (policy.Names, []policy.Denial) {
	names, denials := s.compiled.Names(in)
	return names, append(denials, s.unreadable.In(in.Namespace.Name)...)
}

// claimNames gives the names of a server's claims.
func (s *policySet) claimNames(in policy.Input) (map[string]string, []policy.Denial) {
	names, denials := s.compiled.ClaimNames(in)
	return names, append(denials, s.unreadable.In(in.Namespace.Name)...)
}

// namespace gives the one that policy has for a server.
func (s *policySet) namespace(in policy.Input) (policy.UserNamespace, []policy.Denial) {
	return s.compiled.Namespace(in)
}

// offered gives the profiles of a user.
func (s *policySet) offered(in policy.Input) ([]policy.Offered, []policy.Denial) {
	offered, denials := s.compiled.Offered(in)
	if unreadable := s.unreadable.In(in.Namespace.Name); len(unreadable) > 0 {
		return nil, append(denials, unreadable...)
	}
	return offered, denials
}
