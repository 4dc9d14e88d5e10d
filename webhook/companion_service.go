package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// makeService makes the Service by whose name the hub reaches a server. That of a server of the same name before, which garbage
// collection hasn't come to, is deleted first; one that isn't a server's is left alone.
func (t *companionTerm) makeService(ctx context.Context, pod *corev1.Pod, service *corev1.Service) error {
	if service == nil {
		return nil
	}
	name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	have, found, err := inStore[*corev1.Service](t.servicesSeen, name)
	switch {
	case err != nil:
		return fmt.Errorf("look up Service %s: %w", pod.Name, err)
	case !found:
		return t.createService(ctx, pod, service)
	case owner(have, pod.Name) == pod.UID, have.DeletionTimestamp != nil:
		return nil // its deletion is heard of
	case owner(have, pod.Name) == "":
		return t.events.pod(ctx, pod, reasonServiceNotMade, takenBySomebody(pod.Name))
	}
	ctx, cancel := context.WithTimeout(ctx, companionTimeout)
	defer cancel()
	err = t.core.Services(pod.Namespace).Delete(ctx, have.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &have.UID}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	countWrite(serviceWrites, err)
	if err != nil {
		return fmt.Errorf("delete Service %s of an earlier server: %w", have.Name, err)
	}
	return nil
}

func takenBySomebody(name string) string {
	return fmt.Sprintf("Service %s isn't made: there is another one of that name, which is no server's; delete or rename it", name)
}

// owner is the uid of the pod of this name that owns a Service; "" for none.
func owner(s *corev1.Service, pod string) types.UID {
	at := slices.IndexFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.APIVersion == "v1" && o.Kind == "Pod" && o.Name == pod
	})
	if at < 0 {
		return ""
	}
	return s.OwnerReferences[at].UID
}

// createService has the pod own it, so that it goes away with it. blockOwnerDeletion, which KubeSpawner sets, would take a right on
// pods' finalizers where the API server enforces owner references.
func (t *companionTerm) createService(ctx context.Context, pod *corev1.Pod, service *corev1.Service) error {
	ctx, cancel := context.WithTimeout(ctx, companionTimeout)
	defer cancel()
	service.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}}
	_, err := t.core.Services(pod.Namespace).Create(ctx, service, metav1.CreateOptions{FieldManager: component})
	if apierrors.IsAlreadyExists(err) {
		return t.isThere(ctx, pod)
	}
	countWrite(serviceWrites, err)
	var untold error
	switch {
	case err == nil:
		t.log.Info("made a Service", "namespace", pod.Namespace, "service", service.Name)
		return nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		untold = t.events.pod(ctx, pod, reasonServiceNotMade, fmt.Sprintf("Service %s can't be made: %s", service.Name, reasonOf(err)))
		if apierrors.IsInvalid(err) {
			return untold // until policy changes, which has the pod seen to again
		}
	}
	return errors.Join(fmt.Errorf("make Service %s: %w", service.Name, err), untold)
}

// isThere asks whose the Service of a pod's name is that isn't heard of: an informer that is behind will tell of a server's. It tells of one
// without the hub label never, nor of its end. A list takes no right beside the informer's.
func (t *companionTerm) isThere(ctx context.Context, pod *corev1.Pod) error {
	there, err := t.core.Services(pod.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + pod.Name})
	if err != nil {
		return fmt.Errorf("look up Service %s: %w", pod.Name, err)
	}
	for i := range there.Items {
		switch owner(&there.Items[i], pod.Name) {
		case pod.UID:
			return nil
		case "":
			err = t.events.pod(ctx, pod, reasonServiceNotMade, takenBySomebody(pod.Name))
		}
	}
	return errors.Join(fmt.Errorf("make Service %s: there is another one of that name", pod.Name), err)
}
