package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
)

// claimNames are the claims that a pod's volumes name, each once, in order.
func claimNames(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Volumes {
		if claim := pod.Spec.Volumes[i].PersistentVolumeClaim; claim != nil {
			names = append(names, claim.ClaimName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// missing are the claims that a pod names and that don't exist.
func (t *companionTerm) missing(pod *corev1.Pod) []string {
	var names []string
	for _, name := range claimNames(pod) {
		if _, found, err := t.claim(pod.Namespace, name); err == nil && !found {
			names = append(names, name)
		}
	}
	return names
}

func (t *companionTerm) claim(namespace, name string) (*corev1.PersistentVolumeClaim, bool, error) {
	return inStore[*corev1.PersistentVolumeClaim](t.claimsSeen, types.NamespacedName{Namespace: namespace, Name: name})
}

// makeClaims makes and grows the claims that a pod names. Their names are the stored pod's, their content is today's policy's; a
// name that policy wouldn't give is none that it made, so nothing is made by it.
func (t *companionTerm) makeClaims(ctx context.Context, pod *corev1.Pod, needs *policy.Companions) error {
	for _, name := range claimNames(pod) {
		have, found, err := t.claim(pod.Namespace, name)
		if err != nil {
			return fmt.Errorf("look up claim %s: %w", name, err)
		}
		at := slices.IndexFunc(needs.Claims, func(c *corev1.PersistentVolumeClaim) bool { return c.Name == name })
		switch {
		case at < 0 && !found:
			err = t.events.pod(ctx, pod, reasonClaimNotMade, notOfPolicy(name, needs.Claims))
		case at < 0: // it isn't the server's own
		case found:
			err = t.growClaim(ctx, pod, have, needs.Claims[at], needs)
		default:
			err = t.createClaim(ctx, pod, needs.Claims[at])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// notOfPolicy says why a claim that doesn't exist isn't made.
func notOfPolicy(name string, claims []*corev1.PersistentVolumeClaim) string {
	if len(claims) == 0 {
		return fmt.Sprintf("claim %s doesn't exist, and today's policy makes none for this server: create it, or see storagePvcEnsure and claims", name)
	}
	names := make([]string, 0, len(claims))
	for _, c := range claims {
		names = append(names, c.Name)
	}
	return fmt.Sprintf("claim %s isn't made: today's policy gives this server %s; stop the server and start it anew", name, strings.Join(names, " and "))
}

// sharer is a living server of another user or hub that names a claim, too: whoever the claim were made for, both would work in one home.
// Admission refuses the second one only once the claim is there.
func (t *companionTerm) sharer(pod *corev1.Pod, claim string) (*corev1.Pod, error) {
	naming, err := t.podsSeen.GetIndexer().ByIndex(byClaim, pod.Namespace+"/"+claim)
	if err != nil {
		return nil, fmt.Errorf("look up servers with claim %s: %w", claim, err)
	}
	for _, o := range naming {
		if other := podOf(o); needsCompanions(other) && !isSameUsers(pod, other) {
			return other, nil
		}
	}
	return nil, nil
}

// isSameUsers says whether two pods, or a pod and a claim, are of one user of one hub.
func isSameUsers(a, b metav1.Object) bool {
	return a.GetLabels()[policy.LabelHub] == b.GetLabels()[policy.LabelHub] &&
		a.GetAnnotations()[policy.AnnotationUsername] == b.GetAnnotations()[policy.AnnotationUsername]
}

func (t *companionTerm) createClaim(ctx context.Context, pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) error {
	switch other, err := t.sharer(pod, claim.Name); {
	case err != nil:
		return err
	case other != nil: // whose end is heard of
		return t.events.pod(ctx, pod, reasonClaimNotMade, fmt.Sprintf(
			"claim %s isn't made: server %s, which is another user's or hub's, would have the same: use a template that tells them apart", claim.Name, other.Name))
	}
	ctx, cancel := context.WithTimeout(ctx, companionTimeout)
	defer cancel()
	_, err := t.core.PersistentVolumeClaims(pod.Namespace).Create(ctx, claim, metav1.CreateOptions{FieldManager: component})
	if apierrors.IsAlreadyExists(err) {
		return nil // the informer is about to tell, and then it is compared
	}
	countWrite(claimWrites, err)
	if err == nil {
		t.log.Info("made a claim", "namespace", pod.Namespace, "claim", claim.Name, "pod", pod.Name)
		return nil
	}
	var untold error
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) { // a quota, or a value that no check of the policy foresaw
		untold = t.events.pod(ctx, pod, reasonClaimNotMade, fmt.Sprintf("claim %s can't be made: %s", claim.Name, reasonOf(err)))
	}
	if apierrors.IsInvalid(err) {
		return untold // until policy changes, which has the pod seen to again
	}
	return errors.Join(fmt.Errorf("make claim %s: %w", claim.Name, err), untold)
}

// growth is a size that a claim was to grow to for a pod.
type growth struct {
	claim, pod types.UID
	to         string
}

// growClaim asks for more where policy does; nothing ever shrinks. Whether the class lets it is the API server's to say, so that no
// right on classes is needed; a claim without a volume can't grow yet, and its binding is heard of.
func (t *companionTerm) growClaim(ctx context.Context, pod *corev1.Pod, have, want *corev1.PersistentVolumeClaim, needs *policy.Companions) error {
	to, asks := want.Spec.Resources.Requests[corev1.ResourceStorage]
	size := have.Spec.Resources.Requests[corev1.ResourceStorage]
	if !asks || to.Cmp(size) <= 0 || have.DeletionTimestamp != nil || have.Status.Phase != corev1.ClaimBound || !needs.Own(have) {
		return nil
	}
	once := growth{have.UID, pod.UID, to.String()}
	if t.isUngrown(once) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": unchanged(&have.ObjectMeta),
		"spec":     map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": to.String()}}},
	})
	if err != nil {
		return fmt.Errorf("encode the size of claim %s: %w", have.Name, err)
	}
	err = t.patchClaim(ctx, have, patch)
	switch {
	case err == nil:
		t.log.Info("grew a claim", "namespace", have.Namespace, "claim", have.Name, "to", to.String())
		return nil
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil // the informer is about to tell what has changed
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		err = t.events.pod(ctx, pod, reasonClaimNotGrown, fmt.Sprintf("claim %s has %s and can't be grown to %s: %s", have.Name, size.String(), to.String(), reasonOf(err)))
		if err == nil {
			t.noteUngrown(once)
		}
		return err
	}
	return fmt.Errorf("grow claim %s: %w", have.Name, err)
}

func (t *companionTerm) isUngrown(g growth) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ungrown[g]
}

func (t *companionTerm) noteUngrown(g growth) {
	const most = 10_000
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ungrown) >= most {
		clear(t.ungrown)
	}
	t.ungrown[g] = true
}

// unchanged is metadata of a patch that holds for this version of an object alone.
func unchanged(o *metav1.ObjectMeta) map[string]any {
	return map[string]any{"uid": o.UID, "resourceVersion": o.ResourceVersion}
}

func (t *companionTerm) patchClaim(ctx context.Context, claim *corev1.PersistentVolumeClaim, patch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, companionTimeout)
	defer cancel()
	_, err := t.core.PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: component})
	countWrite(claimWrites, err)
	return err
}
