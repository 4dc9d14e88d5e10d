package launcher

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
// launcher may not ask, which is so unless policy has claims deleted. What another server of the user has too stays, as long as the user does.
// Whether claims are deleted, the companion controller decides by policy.
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
		if !allServers {
			if c.Annotations[policy.AnnotationServername] != key.Name {
				continue
			}
			if why, err := l.keptForOthers(ctx, key, c); err != nil {
				return asked, err
			} else if why != "" {
				l.log.Info("doesn't ask for the deletion of a claim", "namespace", c.Namespace, "claim", c.Name, "why", why)
				continue
			}
		}
		marked, err := l.requestDeletion(ctx, c, account)
		if err != nil {
			return asked, err
		}
		if marked != nil {
			asked = append(asked, l.claimOf(marked))
		}
	}
	return asked, nil
}

// requestDeletion marks a claim. It gives nil where that may not be, or the claim is gone.
func (l *Launcher) requestDeletion(ctx context.Context, c *corev1.PersistentVolumeClaim, account string) (*corev1.PersistentVolumeClaim, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": c.UID, "annotations": map[string]string{policy.AnnotationDeleteRequested: account},
	}})
	if err != nil {
		return nil, fmt.Errorf("ask for the deletion of claim %s/%s: %w", c.Namespace, c.Name, err)
	}
	marked, err := l.client.CoreV1().PersistentVolumeClaims(c.Namespace).Patch(ctx, c.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	switch {
	case apierrors.IsForbidden(err):
		// Another account may have asked for this one, and the others are another matter.
		l.log.Info("may not ask for the deletion of a claim", "namespace", c.Namespace, "claim", c.Name)
		return nil, nil //nolint:nilnil // it isn't asked for, and that is no failure
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // gone, or another's of the same name
		return nil, nil //nolint:nilnil // it isn't asked for, and that is no failure
	case err != nil:
		return nil, fmt.Errorf("ask for the deletion of claim %s/%s: %w", c.Namespace, c.Name, err)
	}
	return marked, nil
}

// anotherServer is a name for what the default server is compared with; nobody has to have one of that name.
const anotherServer = "another"

// keptForOthers says why a server's claim isn't its own alone; "": it is. The claim only tells for which server it was made first: by a template
// such as claim-{username}, all servers of a user have one home. Where policy can't say, nobody's home is put at risk.
func (l *Launcher) keptForOthers(ctx context.Context, key Key, c *corev1.PersistentVolumeClaim) (string, error) {
	labels, err := l.labels.of(ctx, l.client, c.Namespace)
	if err != nil {
		return "", fmt.Errorf("read the labels of namespace %s, by which policies are selected: %w", c.Namespace, err)
	}
	other := Key{Hub: key.Hub, User: key.User}
	if key.Name == "" {
		other.Name = anotherServer
	}
	set := l.policies.current.Load()
	names := func(k Key) (map[string]string, []policy.Denial) {
		// The hub's number of the user isn't known here; it is the same for both.
		return set.claimNames(l.input(&Request{Key: k, UserID: new(int64)}, policy.Namespace{Name: c.Namespace, Labels: labels}))
	}
	own, denials := names(key)
	others, more := names(other)
	if denials = append(denials, more...); len(denials) > 0 {
		return "policy doesn't say which claims the user's servers have: " + denials[0].String(), nil
	}
	switch {
	case own[c.Labels[policy.LabelClaim]] != c.Name: // by a template of before it may have been the home of all
		return "policy of today gives this server another one", nil
	case slices.Contains(slices.Collect(maps.Values(others)), c.Name):
		return "other servers of the user have it too", nil
	}
	return "", nil
}
