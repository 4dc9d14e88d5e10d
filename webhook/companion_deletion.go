package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-hub/slipway/policy"
)

// deleteIfMay carries out a launcher's request to delete a claim, or takes the request back and says why. So none is left that a
// later change of policy, or the end of a server that was started since, would carry out. Only a server that is on its way to its
// end is waited for.
func (t *companionTerm) deleteIfMay(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	caller := claim.Annotations[policy.AnnotationDeleteRequested]
	set := t.current()
	if caller == "" || claim.DeletionTimestamp != nil || set == nil {
		return nil // the first set has all requests seen to
	}
	why, err := t.keeps(ctx, set, claim, caller)
	if err != nil {
		return err
	}
	ending := false
	if why == "" {
		if why, ending, err = t.inUse(ctx, claim); err != nil {
			return err
		}
	}
	switch {
	case why != "":
		return t.refuseDeletion(ctx, claim, why)
	case ending:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, companionTimeout)
	defer cancel()
	err = t.core.PersistentVolumeClaims(claim.Namespace).Delete(ctx, claim.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &claim.UID, ResourceVersion: &claim.ResourceVersion},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is another by now, which is heard of
	}
	countWrite(claimWrites, err)
	if err != nil {
		return fmt.Errorf("delete claim %s: %w", claim.Name, err)
	}
	t.log.Info("deleted a claim, as was asked for", "namespace", claim.Namespace, "claim", claim.Name, "caller", caller)
	return nil
}

// keeps says why policy doesn't let a claim be deleted; "": it does.
func (t *companionTerm) keeps(ctx context.Context, set *policySet, claim *corev1.PersistentVolumeClaim, caller string) (string, error) {
	id := identityOfClaim(claim)
	if id.Hub == "" || id.User == "" {
		return "it doesn't say which user's of which hub it is", nil
	}
	if unreadable := set.unreadable.In(claim.Namespace); len(unreadable) > 0 {
		return plainly(unreadable[0]), nil
	}
	ofNamespace, known := t.namespaces.Labels(ctx, claim.Namespace)
	if !known {
		return "", errNamespaceUnknown(claim.Namespace)
	}
	return set.compiled.KeepsClaim(policy.Input{
		Identity: id, Namespace: policy.Namespace{Name: claim.Namespace, Labels: ofNamespace}, Caller: caller,
	}), nil
}

func identityOfClaim(claim *corev1.PersistentVolumeClaim) policy.Identity {
	return policy.Identity{
		Hub: claim.Labels[policy.LabelHub], User: claim.Annotations[policy.AnnotationUsername], Server: claim.Annotations[policy.AnnotationServername],
	}
}

// inUse says which server keeps a claim from being deleted, in why; ending: there is one that was told to stop.
//
// Of the user's own servers the API server is asked, not the cache: one that was created a moment ago must not lose its home. It isn't
// asked of all servers, of which there may be thousands: another user's that uses the claim is found in the cache, and Kubernetes
// itself keeps a claim as long as a pod runs with it.
func (t *companionTerm) inUse(ctx context.Context, claim *corev1.PersistentVolumeClaim) (why string, ending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, companionTimeout)
	defer cancel()
	id := identityOfClaim(claim)
	own, err := t.core.Pods(claim.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{policy.LabelHub: id.Hub, policy.LabelUsername: policy.LabelSlug(id.User)}.String(),
	})
	if err != nil {
		return "", false, fmt.Errorf("look for servers with claim %s: %w", claim.Name, err)
	}
	using, err := t.podsSeen.GetIndexer().ByIndex(byClaim, claim.Namespace+"/"+claim.Name)
	if err != nil {
		return "", false, fmt.Errorf("look up servers with claim %s: %w", claim.Name, err)
	}
	pods := make([]*corev1.Pod, 0, len(own.Items)+len(using))
	for i := range own.Items {
		pods = append(pods, &own.Items[i])
	}
	for _, o := range using {
		// The user's own may have gone meanwhile; but those that aren't labelled as a launcher labels them weren't asked for.
		if pod := podOf(o); !isSameUsers(pod, claim) || pod.Labels[policy.LabelUsername] != policy.LabelSlug(id.User) {
			pods = append(pods, pod)
		}
	}
	for _, pod := range pods {
		same := isSameUsers(pod, claim) && pod.Annotations[policy.AnnotationServername] == id.Server
		switch {
		case hasEnded(pod) || !same && !slices.Contains(claimNames(pod), claim.Name):
		case pod.DeletionTimestamp == nil:
			return "server " + pod.Name + " still runs: stop it first", false, nil
		default:
			ending = true
		}
	}
	return "", ending, nil
}

func (t *companionTerm) refuseDeletion(ctx context.Context, claim *corev1.PersistentVolumeClaim, why string) error {
	// First, so that it is told whatever comes between.
	if err := t.events.claim(ctx, claim, reasonClaimNotDeleted, "claim "+claim.Name+" isn't deleted, though "+
		claim.Annotations[policy.AnnotationDeleteRequested]+" asked for it: "+why); err != nil {
		return err
	}
	metadata := unchanged(&claim.ObjectMeta)
	metadata["annotations"] = map[string]any{policy.AnnotationDeleteRequested: nil}
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("encode an answer to the request: %w", err)
	}
	err = t.patchClaim(ctx, claim, patch)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil // it is heard of, and then judged again
	case err != nil:
		return fmt.Errorf("take back the request to delete claim %s: %w", claim.Name, err)
	}
	return nil
}
