package webhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/slipway-hub/slipway/policy"
)

const (
	// companionWorkers is how many pods are seen to at once.
	companionWorkers = 4
	// companionRate and companionBurst bound the requests of all of them: a class of students that begins at once needs as many
	// claims.
	companionRate  = 50
	companionBurst = 100
	// companionTimeout bounds each request.
	companionTimeout = 10 * time.Second
	// After a failure a pod is seen to again: soon, and then ever less often. A quota doesn't say when there is room again.
	companionRetryFirst, companionRetryLast = 100 * time.Millisecond, time.Minute
)

// companions makes what fitted pods need and doesn't exist: their claims and Services; and it deletes claims where a launcher asks
// for that and policy lets it. Admission itself never writes anything. One replica does so at a time, the one that leads.
type companions struct {
	core       coreclient.CoreV1Interface
	current    func() *policySet
	namespaces namespaceLabels
	claims     claimCache
	log        logr.Logger
	// policiesChanged is raised when there may be more to make.
	policiesChanged signal
}

// known is what a replica knows of the cluster.
type known struct {
	policies   *policies
	namespaces *namespaces
	claims     *claims
}

func newCompanions(mgr manager.Manager, k known, log logr.Logger) (*companions, error) {
	config := rest.CopyConfig(mgr.GetConfig())
	config.QPS, config.Burst = companionRate, companionBurst
	// Ten thousand pods come in at once when a leader begins.
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	config.WarningHandlerWithContext = rest.NoWarnings{} // of the annotation that KubeSpawner writes beside storageClassName, for each claim
	core, err := coreclient.NewForConfigAndClient(config, mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make a client for claims and Services: %w", err)
	}
	return &companions{
		core: core, current: k.policies.current.Load, namespaces: k.namespaces, claims: k.claims,
		log: log.WithName("companions"), policiesChanged: newSignal(),
	}, nil
}

// task is a pod to see to, or a claim of which it was asked that it be deleted.
type task struct {
	of taskKind
	types.NamespacedName
}

type taskKind int

const (
	taskPod taskKind = iota
	taskClaim
)

// companionTerm is what a leader has for as long as it leads.
type companionTerm struct {
	*companions
	*watched
	tasks  workqueue.TypedRateLimitingInterface[task]
	events *companionEvents

	mu sync.Mutex
	// ungrown are the claims that the API server refused to grow, for a pod, to a size: it is asked once.
	ungrown map[growth]bool
}

func (c *companions) newTerm() *companionTerm {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[task](companionRetryFirst, companionRetryLast)
	t := &companionTerm{
		companions: c, watched: watchCompanions(c.core),
		tasks:   workqueue.NewTypedRateLimitingQueue(limiter),
		events:  newCompanionEvents(c.core),
		ungrown: map[growth]bool{},
	}
	return t
}

// lead works until ctx ends.
func (c *companions) lead(ctx context.Context) {
	t := c.newTerm()
	if err := t.notice(); err != nil {
		c.log.Error(err, "can't follow pods, so nothing is made for them")
		return
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer t.tasks.ShutDown()
	for _, informer := range t.informers() {
		group.Go(func() { informer.RunWithContext(ctx) })
	}
	// What exists and isn't known yet must not be taken for missing.
	if !t.sync(ctx) {
		return
	}
	for range companionWorkers {
		group.Go(func() {
			for t.work(ctx) {
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.policiesChanged:
			t.queueAll()
		}
	}
}

// work does one task; false: there are no more.
func (t *companionTerm) work(ctx context.Context) bool {
	next, ended := t.tasks.Get()
	if ended {
		return false
	}
	defer t.tasks.Done(next)
	if err := t.do(ctx, next); err != nil {
		if ctx.Err() == nil {
			t.log.Error(err, "tries again", "namespace", next.Namespace, "name", next.Name)
		}
		t.tasks.AddRateLimited(next)
		return true
	}
	t.tasks.Forget(next)
	return true
}

// do has an error of a panic: this replica answers requests beside this.
func (t *companionTerm) do(ctx context.Context, next task) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if next.of == taskClaim {
		claim, found, err := inStore[*corev1.PersistentVolumeClaim](t.claimsSeen, next.NamespacedName)
		if err != nil || !found {
			return err
		}
		return t.deleteIfMay(ctx, claim)
	}
	pod, found, err := inStore[*corev1.Pod](t.podsSeen, next.NamespacedName)
	if err != nil || !found || !needsCompanions(pod) {
		return err
	}
	return t.makeFor(ctx, next, pod)
}

// needsCompanions: what has ended, or is on its way there, needs nothing any more.
func needsCompanions(pod *corev1.Pod) bool {
	return policy.IsFitted(pod) && pod.DeletionTimestamp == nil && !hasEnded(pod)
}

func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// errNamespaceUnknown: a namespace comes into the cache a moment after the pods in it, perhaps.
type errNamespaceUnknown string

func (e errNamespaceUnknown) Error() string {
	return fmt.Sprintf("namespace %q isn't known here yet", string(e))
}

// makeFor makes what a pod needs by today's policies.
func (t *companionTerm) makeFor(ctx context.Context, next task, pod *corev1.Pod) error {
	set := t.current()
	if set == nil {
		return nil // the first set has all pods seen to
	}
	labels, known := t.namespaces.Labels(ctx, pod.Namespace)
	if !known {
		return errNamespaceUnknown(pod.Namespace)
	}
	identity, refused := policy.IdentityOf(pod)
	claims := t.claims.In(ctx, pod.Namespace)
	needs, denials := set.compiled.Companions(policy.Input{
		Identity: identity, Namespace: policy.Namespace{Name: pod.Namespace, Labels: labels}, Claims: claims, Refused: refused,
	}, pod)
	if claims.err != nil {
		return fmt.Errorf("read the claims of namespace %s: %w", pod.Namespace, claims.err)
	}
	if denials = append(denials, set.unreadable.In(pod.Namespace)...); len(denials) > 0 {
		return t.tellDenied(ctx, pod, denials)
	}
	if err := t.makeClaims(ctx, pod, &needs); err != nil {
		return err
	}
	return t.makeService(ctx, next, pod, needs.Service)
}

// tellDenied says on a pod why nothing is made for it; it is over until policy changes, unless the denial is of what this replica doesn't know yet.
func (t *companionTerm) tellDenied(ctx context.Context, pod *corev1.Pod, denials []policy.Denial) error {
	var errs []error
	why := plainly(denials[0])
	missing := t.missing(pod)
	for _, name := range missing {
		errs = append(errs, t.events.pod(ctx, pod, reasonClaimNotMade, fmt.Sprintf("claim %s isn't made: %s", name, why)))
	}
	if len(missing) == 0 && denials[0].Code == policy.IdentityConflict { // the pod may run with it, which a policy of today wouldn't let it
		errs = append(errs, t.events.pod(ctx, pod, reasonClaimNotMade, "the claim isn't this server's: "+why))
	}
	_, served, err := inStore[*corev1.Service](t.servicesSeen, types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
	if pod.Annotations[policy.AnnotationConnect] != "" && !served && err == nil { // by a Service, it may be
		errs = append(errs, t.events.pod(ctx, pod, reasonServiceNotMade, fmt.Sprintf("Service %s isn't made, if it has one: %s", pod.Name, why)))
	}
	for i := range denials {
		if denials[i].Code == policy.PolicyChanged {
			errs = append(errs, fmt.Errorf("make what pod %s needs: %s", pod.Name, plainly(denials[i])))
		}
	}
	return errors.Join(append(errs, err)...)
}

// inStore reads from an informer.
func inStore[T any](from toolscache.SharedIndexInformer, name types.NamespacedName) (object T, found bool, err error) {
	v, found, err := from.GetIndexer().GetByKey(name.String())
	if err != nil || !found {
		return object, false, err
	}
	object, is := v.(T)
	return object, is, nil
}
