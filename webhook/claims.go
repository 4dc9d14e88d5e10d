package webhook

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/policy"
)

// claims reads whose claims are whose from the cache, which holds nothing else of them.
type claims struct {
	reader client.Reader
}

// claimUserIndex is the name of the index of claims by the user that their annotation names.
const claimUserIndex = "user"

func claimMetadata() *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
	return object
}

// claimIdentityOnly keeps the cache small.
func claimIdentityOnly(object any) (any, error) {
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	m.Labels = picked(m.Labels, policy.LabelHub, policy.LabelClaim)
	m.Annotations = picked(m.Annotations, policy.AnnotationUsername, policy.AnnotationServername)
	m.ManagedFields, m.OwnerReferences, m.Finalizers = nil, nil, nil
	return m, nil
}

// picked are those of the keys that there are, with their values.
func picked(from map[string]string, keys ...string) map[string]string {
	kept := map[string]string{}
	for _, key := range keys {
		if v, has := from[key]; has {
			kept[key] = v
		}
	}
	return kept
}

// watchClaims follows the claims of all namespaces.
func watchClaims(ctx context.Context, c cache.Cache) (*claims, error) {
	byUser := func(o client.Object) []string {
		if user, has := o.GetAnnotations()[policy.AnnotationUsername]; has {
			return []string{user}
		}
		return nil
	}
	if err := c.IndexField(ctx, claimMetadata(), claimUserIndex, byUser); err != nil {
		return nil, fmt.Errorf("watch claims: %w", err)
	}
	if _, err := c.GetInformer(ctx, claimMetadata()); err != nil {
		return nil, fmt.Errorf("watch claims: %w", err)
	}
	return &claims{reader: c}, nil
}

// In gives the claims of one namespace, for one request.
func (c *claims) In(ctx context.Context, namespace string) *namespaceClaims {
	return &namespaceClaims{ctx: ctx, reader: c.reader, namespace: namespace}
}

// namespaceClaims are the claims of one namespace. Where they can't be read, err says so: no claim must not be taken for
// an answer, since it would be an empty home for somebody.
type namespaceClaims struct {
	ctx       context.Context //nolint:containedctx // it lives for one request, and the engine knows no contexts
	reader    client.Reader
	namespace string
	err       error
}

// Of gives the claims of a user.
func (n *namespaceClaims) Of(user string) []*metav1.PartialObjectMetadata {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaimList"))
	if err := n.reader.List(n.ctx, list, client.InNamespace(n.namespace), client.MatchingFields{claimUserIndex: user}); err != nil {
		n.err = err
		return nil
	}
	of := make([]*metav1.PartialObjectMetadata, len(list.Items))
	for i := range list.Items {
		of[i] = &list.Items[i]
	}
	return of
}

// Named gives the claim of this name.
func (n *namespaceClaims) Named(name string) *metav1.PartialObjectMetadata {
	claim := claimMetadata()
	err := n.reader.Get(n.ctx, client.ObjectKey{Namespace: n.namespace, Name: name}, claim)
	switch {
	case err == nil:
		return claim
	case !apierrors.IsNotFound(err):
		n.err = err
	}
	return nil
}
