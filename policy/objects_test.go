package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func object(kind, namespace, name string, spec map[string]any) unstructured.Unstructured {
	o := unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func TestUnreadablePoliciesDenyWhereTheyCouldBeFor(t *testing.T) {
	unknown := map[string]any{"nonsense": true}
	all, not := FromObjects([]unstructured.Unstructured{
		object("ClusterSpawnPolicy", "", "good", map[string]any{"hubs": []any{"main"}}),
		object("SpawnPolicy", "a", "good", nil),
		object("SpawnPolicy", "a", "broken", map[string]any{"defaults": map[string]any{"memLimit": "1e1.5"}}),
		object("SpawnPolicy", "a", "audited", map[string]any{"enforcement": "Audit", "nonsense": true}),
		object("SpawnPolicy", "b", "newer", unknown),
		object("ClusterSpawnPolicy", "", "newer", unknown),
	})

	assert.Len(t, all.Cluster, 1)
	assert.Len(t, all.Namespaced, 1)
	assert.Equal(t, []string{"main"}, all.Cluster[0].Spec.Hubs)
	assert.Equal(t, "a", all.Namespaced[0].Namespace)
	refs := func(denials []Denial) (names []string) {
		for _, d := range denials {
			assert.Equal(t, PolicyInvalid, d.Code)
			names = append(names, d.Policy.String())
		}
		return names
	}
	assert.Equal(t, []string{"SpawnPolicy a/broken", "ClusterSpawnPolicy newer"}, refs(not.In("a")))
	var r Result
	not.AddTo(&r, "a")
	assert.Len(t, r.Denials, 2)
	assert.Equal(t, []string{"SpawnPolicy a/audited"}, refs(r.Audit.Denials))
	r = Result{}
	not.AddTo(&r, "b")
	assert.Equal(t, []string{"SpawnPolicy b/newer", "ClusterSpawnPolicy newer"}, refs(r.Denials))
	assert.Nil(t, r.Audit)
}
