// Package launcher starts servers: it creates skeleton pods, which policy fits out, and watches what becomes of them.
package launcher

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/slipway-hub/slipway/policy"
)

// Until says what Launch waits for.
type Until int

const (
	// UntilAdmitted: the cluster has stored the fitted pod. It needs no node.
	UntilAdmitted Until = iota
	// UntilRunning: the pod has an address and all its containers are ready.
	UntilRunning
)

// Options of Launch. The zero value waits until the pod is admitted and says nothing meanwhile.
type Options struct {
	Until Until
	// Progress is called, by one goroutine, whenever there is something new to tell. May be nil.
	Progress func(Progress)
	// DryRun has the pod judged and fitted but not stored; Launch then ends when it is admitted.
	DryRun bool
}

// Progress is a step on a server's way.
type Progress struct {
	// Message is a short sentence without a period.
	Message string
	// Pod as it is at this step; nil before it is admitted. It must not be changed.
	Pod *corev1.Pod
}

// Launch creates the skeleton of a server, waits for what o says, and gives the pod as it is then. It doesn't delete
// anything when it fails: the pod, which comes with the error where there is one, tells what went wrong.
//
// A refusal by policy is a *Denied; a pod of that name that is there already is told by apierrors.IsAlreadyExists. When
// ctx ends first, the error says how far the pod got.
func Launch(ctx context.Context, client kubernetes.Interface, id policy.Identity, namespace string, o Options) (*corev1.Pod, error) {
	if id.Name == "" {
		return nil, errors.New("launch: the identity has no pod name; take the one that policy's podNameTemplate gives")
	}
	p := &progress{say: o.Progress}
	p.tell("Asking for "+namespace+"/"+id.Name, nil)
	create := metav1.CreateOptions{}
	if o.DryRun {
		create.DryRun = []string{metav1.DryRunAll}
	}
	pod, err := client.CoreV1().Pods(namespace).Create(ctx, Skeleton(id, namespace), create)
	if err != nil {
		return nil, explained(err, namespace, id.Name)
	}
	p.tell("Admitted by policy", pod)
	if o.Until == UntilAdmitted || o.DryRun {
		return pod, nil
	}
	return waitRunning(ctx, client, pod, p)
}

// waitRunning follows the pod by a watch that starts anew by itself when it breaks.
func waitRunning(ctx context.Context, client kubernetes.Interface, created *corev1.Pod, p *progress) (*corev1.Pod, error) {
	last := created
	judge := func(event watch.Event) (bool, error) {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return false, apierrors.FromObject(event.Object)
		}
		// A pod of the same name that came after ours is none of our business.
		if pod.UID != created.UID {
			return false, errDeleted
		}
		last = pod
		if event.Type == watch.Deleted {
			return false, errDeleted
		}
		if err := failure(pod); err != nil {
			return false, err
		}
		p.tell(stage(pod), pod)
		return isRunning(pod), nil
	}
	stillThere := func(store cache.Store) (bool, error) {
		if _, exists, err := store.GetByKey(created.Namespace + "/" + created.Name); err != nil || exists {
			return false, err
		}
		return false, errDeleted
	}
	_, err := watchtools.UntilWithSync(ctx, follow(client, created), &corev1.Pod{}, stillThere, judge)
	switch {
	case err == nil:
		return last, nil
	case ctx.Err() != nil:
		return last, fmt.Errorf("pod %s/%s isn't running yet: %w; last seen: %s", created.Namespace, created.Name, context.Cause(ctx), stage(last))
	}
	return last, fmt.Errorf("pod %s/%s: %w", created.Namespace, created.Name, err)
}

// follow lists and watches one pod by its name.
func follow(client kubernetes.Interface, pod *corev1.Pod) cache.ListerWatcher {
	pods := client.CoreV1().Pods(pod.Namespace)
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, pod.Name).String()
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return pods.Watch(ctx, o)
		},
	}, client)
}
