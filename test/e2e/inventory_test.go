//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
)

// fleeting are kinds whose objects come and go by themselves.
var fleeting = []string{"events", "events.events.k8s.io", "componentstatuses", "leases.coordination.k8s.io", "ipaddresses.networking.k8s.io"}

// inventory names every object of the cluster.
func (s *stage) inventory(ctx context.Context) (map[string]bool, error) {
	disco, err := discovery.NewDiscoveryClientForConfig(s.Config())
	if err != nil {
		return nil, err
	}
	lists, err := disco.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	client, err := metadata.NewForConfig(s.Config())
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			resource := gv.WithResource(r.Name)
			if !slices.Contains(r.Verbs, "list") || slices.Contains(fleeting, resource.GroupResource().String()) {
				continue
			}
			if err := addObjects(ctx, client, resource, found); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// addObjects names those of one resource.
func addObjects(ctx context.Context, client metadata.Interface, resource schema.GroupVersionResource, found map[string]bool) error {
	objects, err := client.Resource(resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil // a definition that has just gone
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", resource.GroupResource(), err)
	}
	for _, o := range objects.Items {
		found[strings.Join([]string{resource.GroupResource().String(), o.Namespace, o.Name}, "/")] = true
	}
	return nil
}

// requireInventory waits until the cluster has no object more than before.
func (s *stage) requireInventory(t *testing.T, before map[string]bool) {
	t.Helper()
	eventually(t, "nothing is left", func(ctx context.Context) error {
		now, err := s.inventory(ctx)
		if err != nil {
			return err
		}
		maps.DeleteFunc(now, func(name string, _ bool) bool { return before[name] })
		if len(now) > 0 {
			return fmt.Errorf("left: %s", strings.Join(slices.Sorted(maps.Keys(now)), ", "))
		}
		return nil
	})
}

// inventoryNow is that of this moment.
func (s *stage) inventoryNow(t *testing.T) map[string]bool {
	t.Helper()
	now, err := s.inventory(t.Context())
	require.NoError(t, err)
	return now
}
