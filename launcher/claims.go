package launcher

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
)

// Claims are those of a user that carry the hub's label, in the namespaces that this launcher serves, by name.
func (l *Launcher) Claims(ctx context.Context, hub, user string) ([]Claim, error) {
	claims, err := l.claimsOf(ctx, hub, user)
	if err != nil {
		return nil, err
	}
	all := make([]Claim, 0, len(claims))
	for i := range claims {
		all = append(all, l.claimOf(&claims[i]))
	}
	return all, nil
}

func (l *Launcher) claimsOf(ctx context.Context, hub, user string) ([]corev1.PersistentVolumeClaim, error) {
	if err := errors.Join(l.knows(hub), l.syncedNow()); err != nil {
		return nil, err
	}
	var all []corev1.PersistentVolumeClaim
	selector := labels.SelectorFromSet(labels.Set{policy.LabelHub: hub, policy.LabelUsername: policy.LabelSlug(user)}).String()
	for _, namespace := range l.namespaces() {
		list, err := l.client.CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, fmt.Errorf("list the claims of user %q: %w", user, err)
		}
		all = append(all, list.Items...)
	}
	// Two users may have one slug.
	all = slices.DeleteFunc(all, func(c corev1.PersistentVolumeClaim) bool { return c.Annotations[policy.AnnotationUsername] != user })
	slices.SortFunc(all, func(a, b corev1.PersistentVolumeClaim) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

func (l *Launcher) claimOf(c *corev1.PersistentVolumeClaim) Claim {
	key := Key{Hub: c.Labels[policy.LabelHub], User: c.Annotations[policy.AnnotationUsername], Name: c.Annotations[policy.AnnotationServername]}
	_, requested := c.Annotations[policy.AnnotationDeleteRequested]
	return Claim{Namespace: c.Namespace, Name: c.Name, Key: key, InUse: l.store.get(key) != nil, DeleteRequested: requested}
}

// DeleteClaims asks for the deletion of a server's claims, or of all claims of the user, and gives those for which it did: none where this
// launcher may not ask, which is so unless policy has claims deleted. Whether they are, the companion controller decides by policy.
func (l *Launcher) DeleteClaims(ctx context.Context, key Key, allServers bool) ([]Claim, error) {
	claims, err := l.claimsOf(ctx, key.Hub, key.User)
	if err != nil {
		return nil, err
	}
	account := l.account()
	if account == "" {
		return nil, errors.New("this launcher doesn't know its own account, in whose name it has to ask: let it create selfsubjectreviews, as every account may")
	}
	asked := []Claim{}
	for i := range claims {
		c := &claims[i]
		if !allServers && c.Annotations[policy.AnnotationServername] != key.Name {
			continue
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": c.UID, "annotations": map[string]string{policy.AnnotationDeleteRequested: account},
		}})
		if err != nil {
			return asked, fmt.Errorf("ask for the deletion of claim %s/%s: %w", c.Namespace, c.Name, err)
		}
		marked, err := l.client.CoreV1().PersistentVolumeClaims(c.Namespace).Patch(ctx, c.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		switch {
		case apierrors.IsForbidden(err):
			// Another account may have asked for this one, and the others are another matter.
			l.log.Info("may not ask for the deletion of a claim", "namespace", c.Namespace, "claim", c.Name)
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // gone, or another's of the same name
		case err != nil:
			return asked, fmt.Errorf("ask for the deletion of claim %s/%s: %w", c.Namespace, c.Name, err)
		default:
			asked = append(asked, l.claimOf(marked))
		}
	}
	return asked, nil
}
