package webhook

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/slipway-hub/slipway/policy"
)

// watched is what the leader sees of the cluster to make companions by: hubs' pods and Services, and all claims, of each no more than
// is needed. It isn't in the manager's cache: every replica would hold it, and wait for it before it answers.
type watched struct {
	podsSeen, claimsSeen, servicesSeen toolscache.SharedIndexInformer
}

// The indexes.
const (
	// byClaim: pods, by NAMESPACE/NAME of the claims that they name.
	byClaim = "claim"
	// byRequest: claims that are to be deleted, by NAMESPACE/USER; requested lists them all.
	byRequest = "request"
	requested = ""
)

func watchCompanions(core coreclient.CoreV1Interface) *watched {
	all := metav1.NamespaceAll
	pods, claims, services := core.Pods(all), core.PersistentVolumeClaims(all), core.Services(all)
	return &watched{
		podsSeen: informerOf(&corev1.Pod{}, policy.LabelHub, strippedPod, toolscache.Indexers{byClaim: claimsOfPod},
			func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return pods.List(ctx, o) }, pods.Watch),
		claimsSeen: informerOf(&corev1.PersistentVolumeClaim{}, "", strippedClaim, toolscache.Indexers{byRequest: requestOfClaim},
			func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return claims.List(ctx, o) }, claims.Watch),
		servicesSeen: informerOf(&corev1.Service{}, policy.LabelHub, strippedService, toolscache.Indexers{},
			func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return services.List(ctx, o) }, services.Watch),
	}
}

// informerOf follows the objects that have a label, "" for all, in the whole cluster.
func informerOf(
	object runtime.Object, label string, strip toolscache.TransformFunc, indexers toolscache.Indexers,
	list func(context.Context, metav1.ListOptions) (runtime.Object, error), watches func(context.Context, metav1.ListOptions) (watch.Interface, error),
) toolscache.SharedIndexInformer {
	informer := toolscache.NewSharedIndexInformer(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = label
			return list(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = label
			return watches(ctx, o)
		},
	}, object, 0, indexers)
	_ = informer.SetTransform(strip) // fails only where it runs already
	return informer
}

func (w *watched) informers() []toolscache.SharedIndexInformer {
	return []toolscache.SharedIndexInformer{w.podsSeen, w.claimsSeen, w.servicesSeen}
}

// sync waits for all that exists; false: ctx ended first.
func (w *watched) sync(ctx context.Context) bool {
	return toolscache.WaitForCacheSync(ctx.Done(), w.podsSeen.HasSynced, w.claimsSeen.HasSynced, w.servicesSeen.HasSynced)
}

func strippedMeta(o *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, DeletionTimestamp: o.DeletionTimestamp,
		Labels: o.Labels, Annotations: o.Annotations,
	}
}

// strippedPod keeps whose the server is, its claims and its port.
func strippedPod(object any) (any, error) {
	pod, is := object.(*corev1.Pod)
	if !is {
		return object, nil
	}
	own := &corev1.Pod{ObjectMeta: strippedMeta(&pod.ObjectMeta), Status: corev1.PodStatus{Phase: pod.Status.Phase}}
	for i := range pod.Spec.Volumes {
		if claim := pod.Spec.Volumes[i].PersistentVolumeClaim; claim != nil {
			own.Spec.Volumes = append(own.Spec.Volumes, corev1.Volume{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: claim}})
		}
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == policy.NotebookContainer {
			own.Spec.Containers = append(own.Spec.Containers, corev1.Container{Name: c.Name, Ports: c.Ports})
		}
	}
	return own, nil
}

// strippedClaim keeps whose the claim is, its size and whether it has a volume.
func strippedClaim(object any) (any, error) {
	claim, is := object.(*corev1.PersistentVolumeClaim)
	if !is {
		return object, nil
	}
	own := &corev1.PersistentVolumeClaim{ObjectMeta: strippedMeta(&claim.ObjectMeta)}
	own.Labels = picked(own.Labels, policy.LabelHub, policy.LabelClaim)
	own.Annotations = picked(own.Annotations, policy.AnnotationUsername, policy.AnnotationServername, policy.AnnotationDeleteRequested)
	own.Spec.Resources.Requests = claim.Spec.Resources.Requests
	own.Status.Phase = claim.Status.Phase
	return own, nil
}

// strippedService keeps whose the Service is.
func strippedService(object any) (any, error) {
	service, is := object.(*corev1.Service)
	if !is {
		return object, nil
	}
	own := &corev1.Service{ObjectMeta: strippedMeta(&service.ObjectMeta)}
	own.OwnerReferences = service.OwnerReferences
	own.Labels, own.Annotations = nil, nil
	return own, nil
}

func claimsOfPod(object any) ([]string, error) {
	pod, is := object.(*corev1.Pod)
	if !is {
		return nil, nil
	}
	var claims []string
	for _, name := range claimNames(pod) {
		claims = append(claims, pod.Namespace+"/"+name)
	}
	return claims, nil
}

func requestOfClaim(object any) ([]string, error) {
	claim, is := object.(*corev1.PersistentVolumeClaim)
	if !is || claim.Annotations[policy.AnnotationDeleteRequested] == "" {
		return nil, nil
	}
	return []string{requested, claim.Namespace + "/" + claim.Annotations[policy.AnnotationUsername]}, nil
}

// notice has the handlers queue what each event may give to do.
func (t *companionTerm) notice() error {
	_, podErr := t.podsSeen.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { t.podCame(podOf(o)) },
		UpdateFunc: func(old, changed any) {
			before, after := podOf(old), podOf(changed)
			switch {
			case before.UID != after.UID: // the end of the one and the beginning of the other weren't heard of
				t.podGone(before)
				t.podCame(after)
			case before.Status.Phase != after.Status.Phase && hasEnded(after):
				t.podGone(after)
			case before.Status.Phase != after.Status.Phase:
				t.queue(taskPod, changed)
			}
		},
		DeleteFunc: func(o any) { t.podGone(podOf(o)) },
	})
	_, claimErr := t.claimsSeen.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { t.queueRequest(o); t.queuePodsOf(o) }, // a denial may have been for want of it
		UpdateFunc: func(_, changed any) { t.queueRequest(changed); t.queuePodsOf(changed) },
		DeleteFunc: t.queuePodsOf,
	})
	_, serviceErr := t.servicesSeen.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		DeleteFunc: func(o any) { t.queue(taskPod, o) }, // it is called as its pod
	})
	if err := errors.Join(podErr, claimErr, serviceErr); err != nil {
		return fmt.Errorf("follow what companions are made by: %w", err)
	}
	return nil
}

func (t *companionTerm) queue(of taskKind, object any) {
	key, err := toolscache.DeletionHandlingObjectToName(object)
	if err == nil {
		t.tasks.Add(task{of, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}})
	}
}

func (t *companionTerm) queueRequest(claim any) {
	if keys, _ := requestOfClaim(claim); len(keys) > 0 {
		t.queue(taskClaim, claim)
	}
}

func (t *companionTerm) queuePodsOf(claim any) {
	key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(claim)
	if err == nil {
		t.queueIndexed(taskPod, t.podsSeen, byClaim, key)
	}
}

// podCame: a request to delete a claim that the pod uses is taken back, lest the end of the pod carries it out.
func (t *companionTerm) podCame(pod *corev1.Pod) {
	t.queue(taskPod, pod)
	t.queueRequestsAbout(pod)
}

// podGone: a claim of the user's may have waited for that, or somebody else's that the pod used, or one that both would have had.
func (t *companionTerm) podGone(pod *corev1.Pod) {
	t.queueRequestsAbout(pod)
	for _, name := range claimNames(pod) {
		t.queueIndexed(taskPod, t.podsSeen, byClaim, pod.Namespace+"/"+name)
	}
}

func (t *companionTerm) queueRequestsAbout(pod *corev1.Pod) {
	t.queueIndexed(taskClaim, t.claimsSeen, byRequest, pod.Namespace+"/"+pod.Annotations[policy.AnnotationUsername])
	for _, name := range claimNames(pod) {
		if claim, found, err := t.claim(pod.Namespace, name); err == nil && found {
			t.queueRequest(claim)
		}
	}
}

func (t *companionTerm) queueAll() {
	for _, pod := range t.podsSeen.GetStore().List() {
		t.queue(taskPod, pod)
	}
	t.queueIndexed(taskClaim, t.claimsSeen, byRequest, requested)
}

func (t *companionTerm) queueIndexed(of taskKind, from toolscache.SharedIndexInformer, index, key string) {
	objects, err := from.GetIndexer().ByIndex(index, key)
	if err != nil {
		t.log.Error(err, "can't read an index", "index", index)
		return
	}
	for _, o := range objects {
		t.queue(of, o)
	}
}

// podOf is never nil.
func podOf(object any) *corev1.Pod {
	if gone, is := object.(toolscache.DeletedFinalStateUnknown); is {
		object = gone.Obj
	}
	if pod, is := object.(*corev1.Pod); is {
		return pod
	}
	return &corev1.Pod{}
}
