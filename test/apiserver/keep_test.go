package apiserver

import (
	"encoding/json"
	"maps"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/parity"
	"github.com/slipway-hub/slipway/test/world"
)

// keepOnly is all that a cluster has to say to take a KubeSpawner hub in.
const keepOnly = `
kind: ClusterSpawnPolicy
metadata: {name: keep-NAMESPACE}
spec:
  skeleton: Keep
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]
`

// kubespawners are settings of hubs; each gets the one line that opts in.
var kubespawners = map[string]parity.Case{
	"its defaults":   {},
	"a named server": {User: "Some.User@example.org", Server: "My Server"},
	"the environment of a hub with a prefix": {Prefix: "/user/alice/", Settings: map[string]any{
		"default_url": "/lab", "environment": map[string]any{"COURSE": "data101", "GREETING": "hello $(COURSE)"}, "debug": true,
	}},
	"resources, storage and scheduling": {Settings: map[string]any{
		"mem_limit": "2G", "mem_guarantee": "1G", "cpu_limit": 1.5, "cpu_guarantee": 0.05, "extra_resource_limits": map[string]any{"example.org/gpu": "1"},
		"storage_pvc_ensure": true, "storage_capacity": "10Gi", "uid": 1000, "gid": 100, "fs_gid": 100, "supplemental_gids": []any{200},
		"volumes":       []any{map[string]any{"name": "home", "persistentVolumeClaim": map[string]any{"claimName": "{pvc_name}"}}, map[string]any{"name": "shared", "emptyDir": map[string]any{}}},
		"volume_mounts": []any{map[string]any{"name": "home", "mountPath": "/home/jovyan"}, map[string]any{"name": "shared", "mountPath": "/shared", "readOnly": true}},
		"node_selector": map[string]any{"pool": "users"}, "tolerations": []any{map[string]any{"key": "users", "operator": "Exists"}},
		"node_affinity_preferred": []any{map[string]any{"weight": 100, "preference": map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "Exists"}}}}},
	}},
	"a token, other containers and hooks": {Settings: map[string]any{
		"service_account": "course", "privileged": true, "allow_privilege_escalation": true, "image_pull_policy": "Always", "image_pull_secrets": []any{"registry"},
		"init_containers":        []any{map[string]any{"name": "prepare", "image": "busybox", "command": []any{"true"}}},
		"extra_containers":       []any{map[string]any{"name": "database", "image": "postgres:18"}},
		"lifecycle_hooks":        map[string]any{"postStart": map[string]any{"exec": map[string]any{"command": []any{"true"}}}},
		"extra_container_config": map[string]any{"tty": true, "envFrom": []any{map[string]any{"configMapRef": map[string]any{"name": "more", "optional": true}}}},
		"extra_pod_config":       map[string]any{"terminationGracePeriodSeconds": 5, "hostAliases": []any{map[string]any{"ip": "192.0.2.1", "hostnames": []any{"a"}}}, "schedulerName": "packing"},
		"extra_annotations":      map[string]any{"example.org/note": "{username}"}, "extra_labels": map[string]any{"team": "red"},
	}},
}

// spawned is the pod that the real KubeSpawner makes, with the hub label among its extra_labels.
func spawned(t *testing.T, c parity.Case) *corev1.Pod {
	t.Helper()
	settings := map[string]any{}
	maps.Copy(settings, c.Settings)
	labels := map[string]any{policy.LabelHub: "main"}
	if more, ok := settings["extra_labels"].(map[string]any); ok {
		maps.Copy(labels, more)
	}
	settings["extra_labels"] = labels
	c.Settings = settings
	if c.User == "" {
		c.User = "alice"
	}
	answer, err := parity.ForTest(t).Ask(c)
	require.NoError(t, err)
	require.Nil(t, answer.Error)
	pod := &corev1.Pod{}
	require.NoError(t, json.Unmarshal(answer.Pod, pod))
	pod.Namespace = ""
	require.Equal(t, "main", pod.Labels[policy.LabelHub])
	return pod
}

// keepNamespace is a namespace with such a policy, and the account that the pods may want.
func keepNamespace(t *testing.T, w *world.World, policies ...string) string {
	t.Helper()
	ns := w.Namespace(t)
	for _, account := range []string{"course", "enforced"} {
		require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), ns, account))
	}
	w.Put(t, ns, append([]string{keepOnly}, policies...)...)
	return ns
}

// store creates a pod and takes it away again.
func store(t *testing.T, w *world.World, client kubernetes.Interface, ns string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	stored, err := client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	require.NoError(t, err)
	w.Remove(t, stored)
	return stored
}

// content is what of a pod can be compared: without the random end of the token volume's name.
func content(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	data, err := json.MarshalIndent(map[string]any{"labels": pod.Labels, "annotations": pod.Annotations, "spec": pod.Spec}, "", "  ")
	require.NoError(t, err)
	return regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`).ReplaceAllString(string(data), "kube-api-access")
}

func TestKeptPodsOfKubeSpawnerAreStoredAsWithoutSlipway(t *testing.T) {
	w := world.ForTest(t)
	ns := keepNamespace(t, w)
	for name, c := range kubespawners {
		t.Run(name, func(t *testing.T) {
			pod := spawned(t, c)
			unlabelled := pod.DeepCopy()
			delete(unlabelled.Labels, policy.LabelHub)       // so that nobody is asked
			without := store(t, w, w.Forger, ns, unlabelled) // the hub may create no other pods
			w.Warnings.Reset()
			with := store(t, w, w.Hub, ns, pod)

			assert.Contains(t, with.Annotations[policy.AnnotationApplied], "keep-"+ns)
			assert.NotContains(t, w.Warnings.String(), "dropped")
			delete(with.Annotations, policy.AnnotationApplied)
			assert.Equal(t, "main", with.Labels[policy.LabelHub])
			delete(with.Labels, policy.LabelHub)
			assert.Equal(t, content(t, without), content(t, with))
		})
	}
}

// keepEnforces is what the cluster wants of those pods whatever their hub says.
const keepEnforces = `
kind: ClusterSpawnPolicy
metadata: {name: enforce-NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  hubEnv: ["JUPYTERHUB_*", "JPY_*"]
  metadata: {deny: [team, "example.org/*"]}
  defaults: {image: "filled:1", nodeSelector: {disk: ssd}, extraLabels: {cost-centre: none}, cmd: [filled]}
  enforced:
    memLimit: 1Gi
    privileged: false
    allowPrivilegeEscalation: false
    uid: 1234
    nodeSelector: {pool: enforced}
    serviceAccount: enforced
    environment: {HTTP_PROXY: "http://proxy"}
    volumes: {shared: {configMap: {name: shared}}}
    initContainers: {block: {image: "block:1"}}
`

func TestPolicyIsForcedOnTheKeptPodsOfKubeSpawner(t *testing.T) {
	w := world.ForTest(t)
	ns := keepNamespace(t, w, keepEnforces)
	for name, c := range kubespawners {
		t.Run(name, func(t *testing.T) {
			sent := spawned(t, c)
			w.Warnings.Reset()
			pod := store(t, w, w.Hub, ns, sent)
			notebook := &pod.Spec.Containers[indexOf(t, pod, "notebook")]
			assert.Equal(t, sent.Spec.Containers[0].Image, notebook.Image, "what the hub says stays where policy only has a default")
			assert.Equal(t, "1Gi", notebook.Resources.Limits.Memory().String())
			assert.LessOrEqual(t, notebook.Resources.Requests.Memory().Value(), int64(1<<30))
			assert.Equal(t, int64(1234), *notebook.SecurityContext.RunAsUser)
			assert.Equal(t, map[string]string{"pool": "enforced", "disk": "ssd"}, pod.Spec.NodeSelector)
			assert.Equal(t, "enforced", pod.Spec.ServiceAccountName)
			assert.Equal(t, "none", pod.Labels["cost-centre"])
			assert.NotContains(t, pod.Labels, "team")
			assert.NotContains(t, pod.Annotations, "example.org/note")
			assert.Equal(t, "block", pod.Spec.InitContainers[0].Name, "before the hub's own")
			assert.Len(t, pod.Spec.InitContainers, 1+len(sent.Spec.InitContainers))
			assert.Len(t, pod.Spec.Containers, len(sent.Spec.Containers))
			for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				assert.Equal(t, new(false), c.SecurityContext.AllowPrivilegeEscalation, c.Name)
				assert.Nil(t, c.SecurityContext.Privileged, c.Name)
			}
			assertKeptEnvironment(t, notebook)
			if c.Settings["environment"] != nil {
				assert.Contains(t, w.Warnings.String(), "spec.containers[notebook].env[COURSE]")
				assert.NotContains(t, w.Warnings.String(), "data101", "values are nobody's business")
			}
			// KubeSpawner gives a token only to who has an account; policy changed the account, not that.
			mounted := 0
			if c.Settings["service_account"] != nil {
				mounted = 1
			}
			assertTokens(t, pod, mounted)
		})
	}
}

func assertKeptEnvironment(t *testing.T, notebook *corev1.Container) {
	t.Helper()
	env := map[string]string{}
	for _, v := range notebook.Env {
		env[v.Name] = v.Value
	}
	assert.Equal(t, "http://proxy", env["HTTP_PROXY"])
	assert.Equal(t, "1073741824", env["MEM_LIMIT"])
	assert.Equal(t, notebook.Image, env["JUPYTER_IMAGE"])
	assert.NotEmpty(t, env["JUPYTERHUB_USER"])
	assert.NotEmpty(t, env["JPY_API_TOKEN"])
	assert.NotContains(t, env, "COURSE")
	assert.Empty(t, notebook.EnvFrom)
}

// assertTokens wants so many token volumes, each mounted in every container once.
func assertTokens(t *testing.T, pod *corev1.Pod, want int) {
	t.Helper()
	volumes := 0
	for _, v := range pod.Spec.Volumes {
		if v.Projected != nil {
			volumes++
		}
	}
	assert.Equal(t, want, volumes, "volumes with a token")
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		mounts := 0
		for _, m := range c.VolumeMounts {
			if m.MountPath == "/var/run/secrets/kubernetes.io/serviceaccount" {
				mounts++
			}
		}
		assert.Equal(t, want, mounts, c.Name)
	}
}

func TestKeptPodGetsThePriorityAndTokenOfWhatPolicyChose(t *testing.T) {
	w := world.ForTest(t)
	for name, c := range map[string]struct {
		enforced string
		tokens   int
		check    func(*corev1.Pod) any
		want     any
	}{
		"another class":         {"{priorityClassName: system-node-critical}", 1, func(p *corev1.Pod) any { return *p.Spec.Priority }, int32(2000001000)},
		"another account":       {"{serviceAccount: enforced}", 1, func(p *corev1.Pod) any { return p.Spec.ServiceAccountName }, "enforced"},
		"no token":              {"{automountServiceAccountToken: false}", 0, func(p *corev1.Pod) any { return p.Spec.ServiceAccountName }, "course"},
		"exactly these volumes": {"{volumes: [{name: only, emptyDir: {}}]}", 1, func(p *corev1.Pod) any { return p.Spec.Volumes[0].Name }, "only"},
		"exactly these mounts":  {"{volumeMounts: []}", 1, func(p *corev1.Pod) any { return len(p.Spec.Containers[0].VolumeMounts) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			ns := keepNamespace(t, w, "\nkind: SpawnPolicy\nmetadata: {name: enforce}\nspec: {enforced: "+c.enforced+"}\n")
			pod := store(t, w, w.Hub, ns, spawned(t, parity.Case{Settings: map[string]any{"service_account": "course"}}))
			assertTokens(t, pod, c.tokens)
			assert.Equal(t, c.want, c.check(pod))
		})
	}
}

func TestKeptPodsAreDenied(t *testing.T) {
	w := world.ForTest(t)
	ns := keepNamespace(t, w, `
kind: SpawnPolicy
metadata: {name: bounds}
spec: {constraints: {image: {allow: ["quay.io/*"]}, podSecurity: baseline}}
`)
	launch := func(client kubernetes.Interface, c parity.Case, change func(*corev1.Pod)) error {
		pod := spawned(t, c)
		if change != nil {
			change(pod)
		}
		_, err := client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
		return err
	}
	for name, c := range map[string]struct {
		settings map[string]any
		change   func(*corev1.Pod)
		code     policy.Code
		field    string
	}{
		"an image":       {settings: map[string]any{"image": "docker.io/evil"}, code: policy.ConstraintViolated, field: "spec.containers[notebook].image"},
		"another's":      {settings: map[string]any{"init_containers": []any{map[string]any{"name": "a", "image": "evil"}}}, code: policy.ConstraintViolated, field: "spec.initContainers[a].image"},
		"privileges":     {settings: map[string]any{"privileged": true}, code: policy.ConstraintViolated, field: "spec"},
		"a finalizer":    {change: func(p *corev1.Pod) { p.Finalizers = []string{"example.org/keep"} }, code: policy.SkeletonNotBare, field: "metadata.finalizers"},
		"no notebook":    {change: func(p *corev1.Pod) { p.Spec.Containers[0].Name = "shell" }, code: policy.SkeletonNotBare, field: "spec.containers"},
		"another's name": {settings: map[string]any{"pod_name_template": "jupyter-bob"}, code: policy.NameMismatch, field: "metadata.name"},
	} {
		t.Run(name, func(t *testing.T) {
			world.RequireDenied(t, launch(w.Hub, parity.Case{Settings: c.settings}, c.change), c.code, c.field)
		})
	}
	t.Run("another launcher", func(t *testing.T) {
		world.RequireDenied(t, launch(w.Forger, parity.Case{}, nil), policy.LauncherNotAllowed, "spec.launchers")
	})
	t.Run("profiles beside Keep", func(t *testing.T) {
		w.PutUnjudged(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: profiles}\nspec: {profiles: [{slug: a}]}\n")
		world.RequireDenied(t, launch(w.Hub, parity.Case{}, nil), policy.PolicyInvalid, "spec.profiles")
	})
}
