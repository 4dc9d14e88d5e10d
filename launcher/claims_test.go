package launcher_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// A claim says for which server it was made. Others of the user may have it too, and then it isn't that server's to take along.
func TestANamedServerTakesAlongNoClaimThatOthersHaveToo(t *testing.T) {
	for name, c := range map[string]struct {
		spec map[string]any
		// claims are those made for the server lab: names, and keys in the setting claims.
		claims map[string]string
		asked  []string
	}{
		"one of its own": {
			map[string]any{"storagePvcEnsure": true, "pvcNameTemplate": "claim-{user_server}"},
			map[string]string{"claim-alice--lab": ""}, []string{"claim-alice--lab"},
		},
		"the home of all servers": {
			map[string]any{"storagePvcEnsure": true, "pvcNameTemplate": "claim-{username}"},
			map[string]string{"claim-alice": ""}, nil,
		},
		"by a number that nobody tells": {
			map[string]any{"storagePvcEnsure": true, "pvcNameTemplate": "claim-{userid}"},
			map[string]string{"claim-7": ""}, nil,
		},
		"under the name that the default server's has by now": {
			map[string]any{"storagePvcEnsure": true, "pvcNameTemplate": "claim-{user_server}"},
			map[string]string{"claim-alice": ""}, nil,
		},
		// By a template of before it was the home of all, and those who have it know it by whose it is.
		"under no name that policy gives today": {
			map[string]any{"storagePvcEnsure": true, "pvcNameTemplate": "home-{user_server}"},
			map[string]string{"claim-alice": ""}, nil,
		},
		"another claim of all servers": {
			map[string]any{"claims": map[string]any{
				"data": map[string]any{"storageCapacity": "1Gi", "nameTemplate": "data-{username}"},
				"tmp":  map[string]any{"storageCapacity": "1Gi"},
			}},
			map[string]string{"data-alice": "data", "tmp-alice--lab": "tmp"}, []string{"tmp-alice--lab"},
		},
		"of a server that policy refuses": {
			map[string]any{"storagePvcEnsure": true, "pvcNameTemplate": "claim-{nonsense}"},
			map[string]string{"claim-alice--lab": ""}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { deleteClaimsOfLab(t, c.spec, c.claims, c.asked) })
		})
	}
}

// deleteClaimsOfLab deletes alice's server lab, which takes the wanted claims along, and then her.
func deleteClaimsOfLab(t *testing.T, spec map[string]any, claims map[string]string, wanted []string) {
	t.Helper()
	client := fake.NewClientset()
	for claim, key := range claims {
		require.NoError(t, client.Tracker().Add(claimOfLab(claim, key)))
	}
	l := onFakes(t, client, func(config *launcher.Config) { changePolicy(t, config, spec) })
	synctest.Wait()
	of := launcher.Key{Hub: "main", User: "alice", Name: "lab"}
	asked, err := l.DeleteClaims(t.Context(), of, false)
	require.NoError(t, err)
	var names []string
	for _, a := range asked {
		names = append(names, a.Name)
	}
	assert.Equal(t, wanted, names)
	asked, err = l.DeleteClaims(t.Context(), of, true)
	require.NoError(t, err)
	assert.Len(t, asked, len(claims), "they all go with the user")
}

// claimOfLab was made for alice's server lab; key is "" for its home.
func claimOfLab(name, key string) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: "research", Name: name, Labels: map[string]string{policy.LabelUsername: policy.LabelSlug("alice"), policy.LabelHub: "main"},
		Annotations: map[string]string{policy.AnnotationUsername: "alice", policy.AnnotationServername: "lab"},
	}}
	if key != "" {
		claim.Labels[policy.LabelClaim] = key
	}
	return claim
}

// changePolicy gives the policy of onFakes defaults.
func changePolicy(t *testing.T, config *launcher.Config, defaults map[string]any) {
	t.Helper()
	policies := config.Dynamic.Resource(v1alpha1.GroupVersion.WithResource("spawnpolicies")).Namespace("research")
	course, err := policies.Get(t.Context(), "course", metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, unstructured.SetNestedMap(course.Object, defaults, "spec", "defaults"))
	_, err = policies.Update(t.Context(), course, metav1.UpdateOptions{})
	require.NoError(t, err)
}
