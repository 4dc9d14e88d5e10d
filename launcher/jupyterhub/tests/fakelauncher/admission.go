package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	ktesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/policy"
)

var podsResource = corev1.SchemeGroupVersion.WithResource("pods")

// admit does what API server, webhook, companion controller and scheduler do with a new pod.
func (c *cluster) admit(ctx context.Context, a ktesting.Action) (*corev1.Pod, error) {
	create, isCreate := a.(ktesting.CreateAction)
	sent, isPod := create.GetObject().(*corev1.Pod)
	if !isCreate || !isPod {
		return nil, fmt.Errorf("%T isn't the creation of a pod", a)
	}
	if a.GetNamespace() != c.namespace.Name {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, a.GetNamespace())
	}
	identity, refused := policy.IdentityOf(sent)
	result, err := c.engine.Apply(policy.Input{
		Identity: identity, Namespace: c.namespace, Caller: c.account, Claims: c.claims(), Sent: sent, Refused: append(refused, policy.Owned(sent)...),
	})
	switch {
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	case len(result.Denials) > 0:
		return nil, denied(sent, result.Denials)
	}
	pod := result.Pod.DeepCopy()
	pod.Namespace, pod.UID, pod.CreationTimestamp, pod.ResourceVersion = c.namespace.Name, uuid.NewUUID(), metav1.Now(), c.version()
	pod.Status.Phase = corev1.PodPending
	if err := c.client.Tracker().Create(podsResource, pod, pod.Namespace); err != nil {
		return nil, err
	}
	if result.Claim != nil {
		c.makeClaim(result.Claim.DeepCopy())
	}
	go c.runPod(ctx, pod.DeepCopy())
	return pod.DeepCopy(), nil
}

func (c *cluster) claims() policy.ClaimList {
	var known policy.ClaimList
	list, err := c.client.Tracker().List(corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), c.namespace.Name)
	if claims, ok := list.(*corev1.PersistentVolumeClaimList); err == nil && ok {
		for i := range claims.Items {
			known = append(known, metav1.PartialObjectMetadata{ObjectMeta: claims.Items[i].ObjectMeta})
		}
	}
	return known
}

// makeClaim does nothing where it is there.
func (c *cluster) makeClaim(claim *corev1.PersistentVolumeClaim) {
	claim.Namespace, claim.UID, claim.CreationTimestamp, claim.ResourceVersion = c.namespace.Name, uuid.NewUUID(), metav1.Now(), c.version()
	claim.Status.Phase = corev1.ClaimBound
	_ = c.client.Tracker().Create(corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), claim, claim.Namespace) // or it is there
}

// denied is the webhook's answer as the API server hands it on.
func denied(pod *corev1.Pod, denials []policy.Denial) error {
	reason, code := metav1.StatusReasonForbidden, int32(http.StatusForbidden)
	if !slices.ContainsFunc(denials, func(d policy.Denial) bool { return d.Code != policy.PolicyChanged }) {
		reason, code = metav1.StatusReasonConflict, http.StatusConflict
	}
	details := &metav1.StatusDetails{Name: pod.Name, Kind: "pods"}
	sentences := make([]string, 0, len(denials))
	for _, d := range denials {
		sentences = append(sentences, d.String())
		details.Causes = append(details.Causes, metav1.StatusCause{
			Type: metav1.CauseType(d.Code), Field: d.Field, Message: policy.Denial{Policy: d.Policy, Message: d.Message}.String(),
		})
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Details: details,
		Message: fmt.Sprintf("admission webhook %q denied the request: Slipway %s: %s", "pods.slipway.dev", denials[0].Code, strings.Join(sentences, "; ")),
	}}
}

// precondition holds a deletion to the uid that it names, as client-go's tracker doesn't, and takes away what the pod owns.
func (c *cluster) precondition(a ktesting.Action) (bool, runtime.Object, error) {
	deletion, ok := a.(ktesting.DeleteActionImpl)
	if !ok {
		return false, nil, nil
	}
	object, err := c.client.Tracker().Get(podsResource, deletion.Namespace, deletion.Name)
	pod, isPod := object.(*corev1.Pod)
	if err != nil || !isPod {
		return false, nil, nil //nolint:nilerr // the tracker itself says that there is none
	}
	if p := deletion.DeleteOptions.Preconditions; p != nil && p.UID != nil && *p.UID != pod.UID {
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, pod.Name, fmt.Errorf("its uid is %s", pod.UID))
	}
	secrets := corev1.SchemeGroupVersion.WithResource("secrets")
	if name := pod.Annotations[policy.AnnotationEnvSecret]; name != "" {
		_ = c.client.Tracker().Delete(secrets, pod.Namespace, name) // it may not be there yet
	}
	return false, nil, nil
}
