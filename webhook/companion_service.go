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

// someoneElses is after how many tries a Service of the pod's name that isn't among hubs' Services counts as another's: one that was
// made a moment ago isn't heard of yet.
const someoneElses = 3

// makeService makes the Service by whose name the hub reaches a server. That of a server of the same name before, which garbage
// collection hasn't come to, is deleted first; one that isn't a server's is left alone.
func (t *companionTerm) makeService(ctx context.Context, next task, pod *corev1.Pod, service *corev1.Service) error {
	if service == nil {
		return nil
	}
	name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	have, found, err := inStore[*corev1.Service](t.servicesSeen, name)
	switch {
	case err != nil:
		return fmt.Errorf("look up Service %s: %w", pod.Name, err)
	case !found:
		return t.createService(ctx, next, pod, service)
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
func (t *companionTerm) createService(ctx context.Context, next task, pod *corev1.Pod, service *corev1.Service) error {
	ctx, cancel := context.WithTimeout(ctx, companionTimeout)
	defer cancel()
	service.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}}
	_, err := t.core.Services(pod.Namespace).Create(ctx, service, metav1.CreateOptions{FieldManager: component})
	if !apierrors.IsAlreadyExists(err) {
		countWrite(serviceWrites, err)
	}
	var untold error
	switch {
	case err == nil:
		t.log.Info("made a Service", "namespace", pod.Namespace, "service", service.Name)
		return nil
	case apierrors.IsAlreadyExists(err) && t.tasks.NumRequeues(next) >= someoneElses:
		untold = t.events.pod(ctx, pod, reasonServiceNotMade, takenBySomebody(pod.Name))
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		untold = t.events.pod(ctx, pod, reasonServiceNotMade, fmt.Sprintf("Service %s can't be made: %s", service.Name, reasonOf(err)))
		if apierrors.IsInvalid(err) {
			return untold // until policy changes, which has the pod seen to again
		}
	}
	return errors.Join(fmt.Errorf("make Service %s: %w", service.Name, err), untold)
}
