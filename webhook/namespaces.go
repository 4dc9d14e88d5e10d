package webhook

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// namespaces reads the labels of namespaces from the cache, which holds nothing else of them.
type namespaces struct {
	reader client.Reader
	log    logr.Logger
}

func namespaceMetadata() *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return object
}

// labelsOnly keeps the cache small: a namespace's annotations can be large.
func labelsOnly(object any) (any, error) {
	if m, ok := object.(*metav1.PartialObjectMetadata); ok {
		m.Annotations, m.ManagedFields, m.OwnerReferences = nil, nil, nil
	}
	return object, nil
}

// watchNamespaces follows all namespaces.
func watchNamespaces(ctx context.Context, c cache.Cache, log logr.Logger) (*namespaces, error) {
	if _, err := c.GetInformer(ctx, namespaceMetadata()); err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	return &namespaces{reader: c, log: log.WithName("namespaces")}, nil
}

// Labels must not be changed: they are the cache's own.
func (n *namespaces) Labels(ctx context.Context, name string) (map[string]string, bool) {
	object := namespaceMetadata()
	if err := n.reader.Get(ctx, client.ObjectKey{Name: name}, object); err != nil {
		if !apierrors.IsNotFound(err) {
			n.log.Error(err, "can't read a namespace from the cache", "namespace", name)
		}
		return nil, false
	}
	return object.Labels, true
}
