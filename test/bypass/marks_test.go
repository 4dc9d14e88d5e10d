package bypass

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// governed marks a namespace as one in which only servers run.
func governed(t *testing.T, w *world.World, ns string) {
	t.Helper()
	_, err := w.Admin.CoreV1().Namespaces().Patch(t.Context(), ns, types.MergePatchType, []byte(`{"metadata":{"labels":{"slipway.dev/governed":"true"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), plain("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return fmt.Errorf("the mark isn't seen yet")
		}
		return nil
	}))
}

var podRights = []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "update", "patch", "get", "delete"}}}

// account is somebody with rights on pods.
func account(t *testing.T, w *world.World, namespace, name string, rights []rbacv1.PolicyRule) kubernetes.Interface {
	t.Helper()
	config, err := w.Account(t.Context(), namespace, name, rights)
	require.NoError(t, err)
	return kubernetes.NewForConfigOrDie(config)
}

var noLabel = []attempt{
	{"a launcher's account", func(t *testing.T, w *world.World) {
		_, err := w.Hub.CoreV1().Pods(place(t, w)).Create(t.Context(), plain("a"), metav1.CreateOptions{})
		denied(t, err, policy.LauncherNotAllowed)
	}},
	{"a launcher's account in a namespace without policies", func(t *testing.T, w *world.World) {
		_, err := w.Hub.CoreV1().Pods(w.Namespace(t)).Create(t.Context(), plain("a"), metav1.CreateOptions{})
		denied(t, err, policy.LauncherNotAllowed)
	}},
	{"a launcher's account, label in another case", func(t *testing.T, w *world.World) {
		pod := plain("a")
		pod.Labels = map[string]string{"slipway.dev/Hub": "main"}
		_, err := w.Hub.CoreV1().Pods(place(t, w)).Create(t.Context(), pod, metav1.CreateOptions{})
		denied(t, err, policy.LauncherNotAllowed)
	}},
	{"an empty label", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		governed(t, w, ns)
		for name, who := range map[string]kubernetes.Interface{"the launcher": w.Hub, "anybody": w.Forger} {
			pod := plain("a")
			pod.Labels = map[string]string{policy.LabelHub: ""}
			_, err := who.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
			require.Error(t, err, name)
			denied(t, err)
		}
	}},
	{"anybody in a governed namespace", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		governed(t, w, ns)
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), plain("a"), metav1.CreateOptions{})
		denied(t, err, policy.NotGoverned)
	}},
	{"the controllers behind a Deployment and a Job, in a governed namespace", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		governed(t, w, ns)
		for _, name := range []string{"replicaset-controller", "job-controller"} {
			pod := plain("a")
			pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "r", UID: "1", Controller: new(true)}}
			_, err := account(t, w, "kube-system", name, podRights).CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
			denied(t, err, policy.NotGoverned)
		}
	}},
}

// changes are what somebody with rights on pods could try on a server that runs, as merge patches.
var changes = map[string]string{
	"the hub label removed":     `{"metadata":{"labels":{"slipway.dev/hub":null}}}`,
	"another hub":               `{"metadata":{"labels":{"slipway.dev/hub":"other"}}}`,
	"another user":              `{"metadata":{"annotations":{"hub.jupyter.org/username":"bob"}}}`,
	"another user's slug":       `{"metadata":{"labels":{"hub.jupyter.org/username":"bob"}}}`,
	"a forged word of policy":   `{"metadata":{"annotations":{"slipway.dev/applied":"{}"}}}`,
	"policy's word removed":     `{"metadata":{"annotations":{"slipway.dev/applied":null}}}`,
	"a label of policy's":       `{"metadata":{"labels":{"course":"other"}}}`,
	"an annotation of policy's": `{"metadata":{"annotations":{"owner":null}}}`,
	"groups":                    `{"metadata":{"annotations":{"slipway.dev/groups":"[\"admin\"]"}}}`,
}

var marksChanged = []attempt{
	{"by merge patch", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		for name, patch := range changes {
			_, err := w.Forger.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			require.Error(t, err, name)
			denied(t, err, policy.FieldChanged)
		}
	}},
	{"by JSON patch", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		for _, patch := range []string{
			`[{"op":"remove","path":"/metadata/labels/slipway.dev~1hub"}]`,
			`[{"op":"replace","path":"/metadata/labels","value":{}}]`,
			`[{"op":"remove","path":"/metadata/annotations"}]`,
			`[{"op":"move","from":"/metadata/annotations/slipway.dev~1applied","path":"/metadata/annotations/x"}]`,
		} {
			_, err := w.Forger.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
			require.Error(t, err, patch)
			denied(t, err, policy.FieldChanged)
		}
	}},
	{"by server-side apply with force", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		for _, meta := range []string{`"labels":{"slipway.dev/hub":"other"}`, `"annotations":{"hub.jupyter.org/username":"bob"}`, `"annotations":{"slipway.dev/applied":"{}"}`} {
			body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,%s}}`, pod.Name, meta)
			_, err := w.Forger.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "x", Force: new(true)})
			require.Error(t, err, meta)
			denied(t, err, policy.FieldChanged)
		}
	}},
	{"by update, all at once", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		pod.Labels, pod.Annotations = nil, nil
		_, err := w.Forger.CoreV1().Pods(ns).Update(t.Context(), pod, metav1.UpdateOptions{})
		denied(t, err, policy.FieldChanged)
	}},
	{"while every replica is down", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		w.Gate.Closed.Store(true)
		defer w.Gate.Closed.Store(false)
		for name, patch := range changes {
			_, err := w.Forger.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			require.Error(t, err, name)
		}
	}},
	{"what is nobody's business still passes, with every replica down", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		w.Gate.Closed.Store(true)
		defer w.Gate.Closed.Store(false)
		for _, patch := range []string{`{"metadata":{"annotations":{"x":"y"}}}`, `{"metadata":{"finalizers":["example.org/x"]}}`, `{"metadata":{"finalizers":null}}`} {
			_, err := w.Forger.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			require.NoError(t, err, patch)
		}
		pod, err := w.Admin.CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
		require.NoError(t, err)
		pod.Status.Phase = corev1.PodRunning
		_, err = w.Admin.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
		require.NoError(t, err)
	}},
}

var deletionGames = []attempt{
	{"an update of a pod that is deleted", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		pod.Finalizers = []string{"example.org/x"}
		_, err := w.Forger.CoreV1().Pods(ns).Update(t.Context(), pod, metav1.UpdateOptions{})
		require.NoError(t, err)
		require.NoError(t, w.Forger.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
		for _, patch := range []string{changes["the hub label removed"], `{"spec":{"activeDeadlineSeconds":1}}`, `{"spec":{"containers":[{"name":"notebook","image":"evil"}]}}`} {
			kind := types.MergePatchType
			if patch[2] == 's' {
				kind = types.StrategicMergePatchType
			}
			_, err := w.Forger.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, kind, []byte(patch), metav1.PatchOptions{})
			denied(t, err, policy.FieldChanged)
		}
		_, err = w.Forger.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		require.NoError(t, err, "and it can go")
	}},
	{"create, delete and create of one name in a hurry", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		for range 10 {
			pod := running(t, w, ns)
			assert.Equal(t, "quay.io/jupyter/minimal-notebook:2026-01-05", notebook(pod).Image)
			require.NoError(t, w.Forger.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
			_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(world.Alice, ns), metav1.CreateOptions{})
			denied(t, err, policy.LauncherNotAllowed)
		}
	}},
	{"a ReplicaSet that adopts a server", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		for _, controller := range []bool{true, false} {
			patch := fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"reaper","uid":"1","controller":%t}]}}`, controller)
			_, err := w.Admin.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
			world.RequireDenied(t, err, policy.FieldChanged, "metadata.ownerReferences")
		}
	}},
	{"the hub label added to a foreign pod that runs", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		foreign, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), plain("foreign"), metav1.CreateOptions{})
		require.NoError(t, err)
		for _, meta := range []map[string]any{{"labels": map[string]string{policy.LabelHub: "main"}}, {"annotations": map[string]string{policy.AnnotationApplied: "{}"}}} {
			patch, err := json.Marshal(map[string]any{"metadata": meta})
			require.NoError(t, err)
			_, err = w.Forger.CoreV1().Pods(ns).Patch(t.Context(), foreign.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			denied(t, err, policy.FieldChanged)
		}
	}},
}

var metadata = []attempt{
	{"annotations that the API server turns into fields", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: strip}\nspec: {skeleton: Strip}\n")
		pod, err := w.Launch(t, ns, func(p *corev1.Pod) {
			p.Annotations["container.apparmor.security.beta.kubernetes.io/notebook"] = "unconfined"
			p.Annotations["seccomp.security.alpha.kubernetes.io/pod"] = "unconfined"
		})
		// Strict would refuse the skeleton, as it does below; here the strictest named mode is Strip.
		require.NoError(t, err)
		assert.NotContains(t, pod.Annotations, "container.apparmor.security.beta.kubernetes.io/notebook")
		assert.Nil(t, notebook(pod).SecurityContext.AppArmorProfile)
		assert.Nil(t, notebook(pod).SecurityContext.SeccompProfile)
		assert.True(t, pod.Spec.SecurityContext == nil || pod.Spec.SecurityContext.SeccompProfile == nil)
	}},
	{"finalizers and owners", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		_, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Finalizers = []string{"example.org/x"} })
		world.RequireDenied(t, err, policy.SkeletonNotBare, "metadata.finalizers")
		_, err = w.Launch(t, ns, func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "a", UID: "1"}}
		})
		world.RequireDenied(t, err, policy.SkeletonNotBare, "metadata.ownerReferences")
	}},
	{"labels that join a Service, annotations for a mesh or a network", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		for key, change := range map[string]func(*corev1.Pod){
			"metadata.labels[app]":                              func(p *corev1.Pod) { p.Labels["app"] = "database" },
			"metadata.labels[sidecar.istio.io/inject]":          func(p *corev1.Pod) { p.Labels["sidecar.istio.io/inject"] = "false" },
			"metadata.annotations[k8s.v1.cni.cncf.io/networks]": func(p *corev1.Pod) { p.Annotations["k8s.v1.cni.cncf.io/networks"] = "host" },
			"metadata.annotations[container.apparmor.security.beta.kubernetes.io/notebook]": func(p *corev1.Pod) {
				p.Annotations["container.apparmor.security.beta.kubernetes.io/notebook"] = "unconfined"
			},
		} {
			_, err := w.Launch(t, ns, change)
			world.RequireDenied(t, err, policy.SkeletonNotBare, key)
		}
	}},
}
