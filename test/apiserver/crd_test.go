package apiserver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-hub/slipway/test/world"
)

// annotationLimit is the API server's, on all annotations of an object together. Client-side kubectl apply keeps the
// whole object in one.
const annotationLimit = 262144

func TestCRDsCanBeAppliedByClientSideApply(t *testing.T) {
	w := world.ForTest(t) // which did so
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	for name, short := range map[string]string{"spawnpolicies.slipway.dev": "sp", "clusterspawnpolicies.slipway.dev": "csp"} {
		t.Run(name, func(t *testing.T) {
			crd, err := w.Dynamic.Resource(crds).Get(t.Context(), name, metav1.GetOptions{})
			require.NoError(t, err)
			applied := crd.GetAnnotations()[corev1.LastAppliedConfigAnnotation]
			require.NotEmpty(t, applied)
			size := 0
			for k, v := range crd.GetAnnotations() {
				size += len(k) + len(v)
			}
			assert.Less(t, size, annotationLimit/2, "there is room to grow")

			_, err = w.Cluster.Kubectl(t.Context(), nil, "get", short, "--all-namespaces")
			assert.NoError(t, err)
		})
	}
	again, err := w.Cluster.Kubectl(t.Context(), nil, "apply", "-f", world.CRDFolder)
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(again, "unchanged"), again)
}

func TestTheSchemaItselfRefusesWhatBelongsToTheOtherKind(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	for name, c := range map[string]struct{ spec, says string }{
		"a selector in a namespace":    {`{namespaceSelector: {}}`, "belongs to a ClusterSpawnPolicy"},
		"a group map in a namespace":   {`{groupMap: {staff: [alice]}}`, "only the platform team may say"},
		"profiles beside keep":         {`{skeleton: Keep, profiles: [{slug: a}]}`, "can't be combined"},
		"a mode that nobody knows":     {`{skeleton: Loose}`, `Unsupported value: "Loose"`},
		"a port beyond all ports":      {`{defaults: {port: 70000}}`, "less than or equal to 65535"},
		"one profile slug twice":       {`{profiles: [{slug: a}, {slug: a}]}`, "Duplicate value"},
		"a quantity that is no number": {`{defaults: {memLimit: lots}}`, "should match"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, w.TryPut(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: a}\nspec: "+c.spec+"\n"), c.says)
		})
	}
}

// kubectl shows what a user asks for first.
func TestPoliciesHaveColumns(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: course}\nspec: {hubs: [main, lab], priority: 7}\n")
	// kubectl remembers the kinds that there were when it was first asked, before the CRDs.
	_, err := w.Cluster.Kubectl(t.Context(), nil, "api-resources", "--api-group=slipway.dev")
	require.NoError(t, err)
	out, err := w.Cluster.Kubectl(t.Context(), nil, "get", "slipway", "-n", ns)
	require.NoError(t, err)
	assert.Regexp(t, `NAME +PRIORITY +HUBS +READY +ENFORCED +PROFILES +FITTED +AGE`, out)
	assert.Regexp(t, `course +7 +\["main","lab"\]`, out)
}
