package apiserver

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// everyFillIn is a policy that leaves open whatever the API server fills in by itself, where nothing may be added.
const everyFillIn = `
kind: SpawnPolicy
metadata: {name: open}
spec:
  additions: {mode: Deny}
  defaults:
    serviceAccount: puller
    memLimit: 1Gi
    extraPodConfig: {runtimeClassName: NAMESPACE, restartPolicy: Always}
    priorityClassName: NAMESPACE
    environment: {NODE: {valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}}
    extraContainerConfig:
      livenessProbe: {httpGet: {port: 8888}}
      readinessProbe: {tcpSocket: {port: 8888}}
      startupProbe: {grpc: {port: 8888}}
      lifecycle: {preStop: {httpGet: {port: 8888}}}
    initContainers: [{name: wait, image: "busybox:latest", restartPolicy: Always}]
    volumes:
      empty: {emptyDir: {}}
      host: {hostPath: {path: /}}
      secret: {secret: {secretName: a}}
      config: {configMap: {name: a}}
      down: {downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}]}}
      token: {projected: {sources: [{serviceAccountToken: {path: a, audience: b}}, {downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}]}}]}}
      generic: {ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}
      iscsi: {iscsi: {targetPortal: a, iqn: "iqn.2001-04.com.example:a", lun: 0}}
      rbd: {rbd: {monitors: [a], image: a}}
      azure: {azureDisk: {diskName: a, diskURI: "https://blob/a.vhd"}}
      scale: {scaleIO: {gateway: "https://a", system: a, secretRef: {name: a}, volumeName: a}}
      image: {image: {reference: a}}
      bare: {}
`

// Each row of the engine's table, by the API server that fills it in.
func TestWhatTheAPIServerFillsInPassesWhereNothingMayBeAdded(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), ns, "puller"))
	_, err := w.Admin.CoreV1().ServiceAccounts(ns).Patch(t.Context(), "puller", types.MergePatchType, []byte(`{"imagePullSecrets":[{"name":"registry"}]}`), metav1.PatchOptions{})
	require.NoError(t, err)
	_, err = w.Admin.SchedulingV1().PriorityClasses().Create(t.Context(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: ns}, Value: 7}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = w.Admin.NodeV1().RuntimeClasses().Create(t.Context(), &nodev1.RuntimeClass{
		ObjectMeta: metav1.ObjectMeta{Name: ns}, Handler: "kata",
		Overhead:   &nodev1.Overhead{PodFixed: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("10Mi")}},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"kata": "yes"}, Tolerations: []corev1.Toleration{{Key: "kata", Operator: corev1.TolerationOpExists}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = w.Admin.CoreV1().LimitRanges(ns).Create(t.Context(), &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "limits"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Default: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}, DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.Put(t, ns, world.HubLaunches, course, everyFillIn)
	var pod *corev1.Pod
	require.NoError(t, world.Eventually(t.Context(), func() error { // in-tree admission takes a moment to see what was made
		pod, err = launcher.Launch(t.Context(), w.Hub, world.Alice, ns, launcher.Options{DryRun: true})
		if err == nil && (pod.Annotations["kubernetes.io/limit-ranger"] == "" || len(pod.Spec.ImagePullSecrets) == 0) {
			return fmt.Errorf("not all is filled in yet")
		}
		return err
	}))
	assert.Equal(t, "yes", pod.Spec.NodeSelector["kata"])
	assert.NotNil(t, pod.Spec.Overhead)
	assert.Equal(t, int32(7), *pod.Spec.Priority)
}

// A policy is for the servers that start after it: those that run must be left in peace by it.
func TestPoliciesTightenedWhileServersRun(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	pods := map[string]*corev1.Pod{}
	for _, user := range []string{"status", "labels", "finalizers", "eviction", "deletion"} {
		id := policy.Identity{Name: "jupyter-" + user, Hub: "main", User: user}
		pod, err := w.Hub.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(id, ns), metav1.CreateOptions{})
		require.NoError(t, err)
		pods[user] = pod
	}
	w.PutUnjudged(t, ns, `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE-tight}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  additions: {mode: Deny}
  launchers: [{serviceAccount: {namespace: nowhere, name: nobody}}]
  enforced: {image: docker.io/other, nodeSelector: {pool: gpu}, extraLabels: {course: other}}
  constraints: {memLimit: {max: 1Mi}, image: {allow: ["docker.io/*"]}, podSecurity: restricted}
`, "\nkind: SpawnPolicy\nmetadata: {name: invalid}\nspec: {defaults: {workingDir: \"{nobody}\"}}\n")
	_, err := w.Launch(t, ns, nil)
	require.Error(t, err, "policy is tight")

	api := w.Admin.CoreV1().Pods(ns)
	patch := func(user string, body string, sub ...string) error {
		_, err := api.Patch(t.Context(), pods[user].Name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, sub...)
		return err
	}
	t.Run("status", func(t *testing.T) {
		require.NoError(t, patch("status", `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`, "status"))
	})
	t.Run("ordinary labels and annotations", func(t *testing.T) {
		require.NoError(t, patch("labels", `{"metadata":{"labels":{"example.org/seen":"yes"},"annotations":{"example.org/note":"x"}}}`))
		require.NoError(t, patch("labels", `{"metadata":{"labels":{"example.org/seen":null},"annotations":{"example.org/note":null}}}`))
	})
	t.Run("finalizers", func(t *testing.T) {
		require.NoError(t, patch("finalizers", `{"metadata":{"finalizers":["example.org/x"]}}`))
		require.NoError(t, patch("finalizers", `{"metadata":{"finalizers":null}}`))
	})
	t.Run("eviction", func(t *testing.T) {
		require.NoError(t, api.EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pods["eviction"].Name}}))
	})
	t.Run("deletion", func(t *testing.T) {
		require.NoError(t, api.Delete(t.Context(), pods["deletion"].Name, metav1.DeleteOptions{}))
	})
}
