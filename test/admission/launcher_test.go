package admission

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
)

func TestALauncherCreatesOnlyPodsThatTheWebhooksSee(t *testing.T) {
	a := forTest(t)
	a.closeGate(t)
	for name, c := range map[string]struct {
		namespace string
		change    func(*corev1.Pod)
	}{
		"no label":               {"default", func(*corev1.Pod) {}},
		"no label, its own home": {"jupyter", func(*corev1.Pod) {}},
		"no label, kube-system":  {"kube-system", func(*corev1.Pod) {}},
		"a label in other case":  {"default", func(p *corev1.Pod) { p.Labels = map[string]string{"slipway.dev/Hub": "main"} }},
		"an annotation instead":  {"default", func(p *corev1.Pod) { p.Annotations = map[string]string{policy.LabelHub: "main"} }},
		"a generated name":       {"default", func(p *corev1.Pod) { p.Name, p.GenerateName = "", "jupyter-" }},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, a.Cluster.EnsureServiceAccount(t.Context(), c.namespace, "default"))
			pod := plain("jupyter-alice")
			c.change(pod)
			_, err := a.hub.CoreV1().Pods(c.namespace).Create(t.Context(), pod, metav1.CreateOptions{})
			requireDenied(t, err, policy.LauncherNotAllowed, "may create only pods with the label slipway.dev/hub")
			assert.ErrorContains(t, err, "system:serviceaccount:jupyter:hub")
		})
	}
	t.Run("another account may", func(t *testing.T) {
		_, err := a.operator.CoreV1().Pods("default").Create(t.Context(), plain("jupyter-alice"), metav1.CreateOptions{})
		assert.NoError(t, err)
	})
	t.Run("by server-side apply", func(t *testing.T) {
		pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"applied"},"spec":{"containers":[{"name":"a","image":"b"}]}}`
		_, err := a.hub.CoreV1().Pods("default").Patch(t.Context(), "applied", types.ApplyPatchType, []byte(pod), metav1.PatchOptions{FieldManager: "hub"})
		requireDenied(t, err, policy.LauncherNotAllowed, "may create only pods with the label slipway.dev/hub")
	})
}

func TestALauncherBindsNoPods(t *testing.T) {
	a := forTest(t)
	server := a.runningServer(t)
	a.closeGate(t)
	for way, bind := range binds {
		t.Run(way, func(t *testing.T) {
			err := bind(t.Context(), a.hub, server.Namespace, &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Name: server.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "control-plane"},
			})
			requireDenied(t, err, policy.LauncherNotAllowed, "may not bind pods to nodes")
		})
	}
}

// envSecret is the environment of alice's server as a launcher makes it.
func envSecret(name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "jupyter-alice", UID: "1"}},
		},
		Type: "slipway.dev/env", Immutable: new(true), StringData: map[string]string{"JUPYTERHUB_API_TOKEN": "x"},
	}
}

func TestALauncherCreatesOnlySecretsOfAServer(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	const anyOther = "another-name"
	for name, c := range map[string]struct {
		change func(*corev1.Secret)
		says   string // empty: it may
	}{
		"as it should be":  {func(*corev1.Secret) {}, ""},
		"an opaque one":    {func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, "of type slipway.dev/env"},
		"without a type":   {func(s *corev1.Secret) { s.Type = "" }, "of type slipway.dev/env"},
		"one that changes": {func(s *corev1.Secret) { s.Immutable = nil }, "immutable: true"},
		"one that says so": {func(s *corev1.Secret) { s.Immutable = new(false) }, "immutable: true"},
		"an account's token": {func(s *corev1.Secret) {
			s.Type = corev1.SecretTypeServiceAccountToken
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
		}, "of type slipway.dev/env"},
		"no owner": {func(s *corev1.Secret) { s.OwnerReferences = nil }, "metadata.ownerReferences"},
		"two owners": {func(s *corev1.Secret) {
			s.OwnerReferences = append(s.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "jupyter-bob", UID: "2"})
		}, "metadata.ownerReferences"},
		"an owner that is no pod":      {func(s *corev1.Secret) { s.OwnerReferences[0].Kind = "ConfigMap" }, "metadata.ownerReferences"},
		"an owner of another group":    {func(s *corev1.Secret) { s.OwnerReferences[0].APIVersion = "example.org/v1" }, "metadata.ownerReferences"},
		"another name":                 {func(s *corev1.Secret) { s.Name = anyOther }, "must be jupyter-alice-env- and 8 characters"},
		"another pod's name":           {func(s *corev1.Secret) { s.Name = "jupyter-bob-env-x7k2m9qa" }, "must be jupyter-alice-env-"},
		"a short ending":               {func(s *corev1.Secret) { s.Name = "jupyter-alice-env-x7k2m9q" }, "must be jupyter-alice-env-"},
		"a long ending":                {func(s *corev1.Secret) { s.Name = "jupyter-alice-env-x7k2m9qaa" }, "must be jupyter-alice-env-"},
		"an ending with other letters": {func(s *corev1.Secret) { s.Name = "jupyter-alice-env-x7k.m9qa" }, "must be jupyter-alice-env-"},
		"a generated name":             {func(s *corev1.Secret) { s.Name, s.GenerateName = "", "jupyter-alice-env-" }, "must be jupyter-alice-env-"},
		"the hub's label": {func(s *corev1.Secret) {
			s.Name, s.Labels = "jupyter-alice-env-x7k2m9qc", map[string]string{policy.LabelHub: "main"}
		}, ""},
		"another label": {func(s *corev1.Secret) {
			s.Labels = map[string]string{policy.LabelHub: "main", "argocd.argoproj.io/secret-type": "cluster"}
		}, "may have no label but slipway.dev/hub"},
		"an annotation": {func(s *corev1.Secret) { s.Annotations = map[string]string{"replicate-to": "kube-system"} }, "no annotations"},
		"a finalizer":   {func(s *corev1.Secret) { s.Finalizers = []string{"example.org/mine"} }, "no finalizers"},
		"a pod's name with a dot": {func(s *corev1.Secret) {
			s.OwnerReferences[0].Name, s.Name = "jupyter.alice", "jupyter.alice-env-x7k2m9qa"
		}, ""},
		"a dot isn't any letter": {func(s *corev1.Secret) {
			s.OwnerReferences[0].Name, s.Name = "jupyter.alice", "jupyter-alice-env-x7k2m9qb"
		}, "must be jupyter.alice-env-"},
	} {
		t.Run(name, func(t *testing.T) {
			secret := envSecret("jupyter-alice-env-x7k2m9qa")
			c.change(secret)
			_, err := a.hub.CoreV1().Secrets(ns).Create(t.Context(), secret, metav1.CreateOptions{})
			if c.says == "" {
				assert.NoError(t, err)
				return
			}
			requireDenied(t, err, policy.LauncherNotAllowed, c.says)
		})
	}
	t.Run("another account creates what it likes", func(t *testing.T) {
		_, err := a.operator.CoreV1().Secrets(ns).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: anyOther}}, metav1.CreateOptions{})
		assert.NoError(t, err)
	})
}

// The answer to a patch is the whole Secret.
func TestALauncherReadsNoSecretByPatchingIt(t *testing.T) {
	a := forTest(t)
	ns := a.Namespace(t)
	a.closeGate(t)
	secret, err := a.operator.CoreV1().Secrets(ns).Create(t.Context(), envSecret("jupyter-alice-env-another1"), metav1.CreateOptions{})
	require.NoError(t, err)
	for kind, body := range map[types.PatchType]string{
		types.MergePatchType: `{}`,
		types.JSONPatchType:  `[]`,
		types.ApplyPatchType: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"` + secret.Name + `"}}`,
	} {
		t.Run(strings.TrimPrefix(string(kind), "application/"), func(t *testing.T) {
			o := metav1.PatchOptions{FieldManager: "hub"}
			got, err := a.hub.CoreV1().Secrets(ns).Patch(t.Context(), secret.Name, kind, []byte(body), o)
			requireDenied(t, err, policy.LauncherNotAllowed, "may change no Secret")
			assert.Empty(t, got.Data)
		})
	}
	t.Run("nor by updating it", func(t *testing.T) {
		_, err := a.hub.CoreV1().Secrets(ns).Update(t.Context(), secret, metav1.UpdateOptions{})
		requireDenied(t, err, policy.LauncherNotAllowed, "may change no Secret")
	})
}

// With rights in the whole cluster, a hub that was broken into could else end what isn't its own.
func TestALauncherDeletesOnlyServers(t *testing.T) {
	a := forTest(t)
	server := a.runningServer(t)
	pod := func(name string, labels map[string]string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}}}
		made, err := a.Admin.CoreV1().Pods(server.Namespace).Create(t.Context(), p, metav1.CreateOptions{})
		require.NoError(t, err)
		return made
	}
	database := pod("database", map[string]string{"app": "database"})
	old := pod("jupyter-old", map[string]string{"component": "singleuser-server"})
	a.closeGate(t)
	dry := metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}
	pods := a.hub.CoreV1().Pods(server.Namespace)
	requireDenied(t, pods.Delete(t.Context(), database.Name, dry), policy.LauncherNotAllowed, "may delete only pods with the label slipway.dev/hub")
	requireDenied(t, pods.DeleteCollection(t.Context(), dry, metav1.ListOptions{LabelSelector: "app=database"}), policy.LauncherNotAllowed, "may delete only pods")
	assert.NoError(t, pods.Delete(t.Context(), server.Name, dry))
	assert.NoError(t, pods.Delete(t.Context(), old.Name, dry), "as KubeSpawner made it")
	assert.NoError(t, a.operator.CoreV1().Pods(server.Namespace).Delete(t.Context(), database.Name, dry))
}
