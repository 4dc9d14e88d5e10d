package apiserver

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
	"github.com/slipway-hub/slipway/test/parity"
	"github.com/slipway-hub/slipway/test/world"
)

const (
	// realHubNamespace is where the real hubs' pods were recorded; templates name it.
	realHubNamespace = "jhub"
	// realHubUserID is the hub's number of each recorded user.
	realHubUserID = 7
	// realHubEnv is the Secret that a launcher would make for the hub's environment.
	realHubEnv = "-env-00000000" // the end of its name
)

// The whole road of somebody who moves over: their values are imported, the policy is applied, a skeleton is launched by the
// account that the policy lists, and what the API server stores is what it would store if KubeSpawner had sent the pod.
func TestServersOfRealHubsAreStoredAsKubeSpawnersAre(t *testing.T) {
	hubs := parity.RealHubs(t)
	m := move{World: world.ForTest(t), launchers: map[string]kubernetes.Interface{}}
	require.NoError(t, m.Cluster.CreateNamespace(t.Context(), realHubNamespace, nil))
	m.SettleNamespace(t, realHubNamespace)
	m.makeWhatPodsName(t, hubs)
	for i := range hubs {
		h := &hubs[i]
		t.Run(h.Name, func(t *testing.T) {
			imported, err := h.Imported()
			if err != nil {
				// Where KubeSpawner starts no server at all, the import may say so at once.
				require.False(t, slices.ContainsFunc(h.Servers, func(s parity.RealServer) bool { return s.Error == "" }), err)
				return
			}
			if parity.Unbuildable[h.Name] != nil {
				imported.Name = h.Name
				m.Gate.Unjudge(imported.Namespace, imported.Name)
			}
			m.apply(t, imported)
			hub := m.launcher(t, imported)
			for _, s := range h.Servers {
				m.try(t, hub, h, imported, s)
			}
		})
	}
	t.Logf("parity: servers on a real API server: %d of %d equal, of which the API server refuses %d, KubeSpawner's too", m.equal+m.refused, m.total, m.refused)
}

// move is the world in which hubs move over.
type move struct {
	*world.World

	// launchers are the clients of the accounts that policies list.
	launchers map[string]kubernetes.Interface
	// refused are servers that the API server itself refuses, KubeSpawner's too.
	equal, refused, total int
}

func (m *move) pods() corev1client.PodInterface { return m.Admin.CoreV1().Pods(realHubNamespace) }

// apply does what a user does with what the import prints. The policy goes with the test.
func (m *move) apply(t *testing.T, imported *v1alpha1.SpawnPolicy) {
	t.Helper()
	data, err := json.Marshal(imported)
	require.NoError(t, err)
	_, err = m.Cluster.Kubectl(t.Context(), strings.NewReader(string(data)), "apply", "-f", "-")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		assert.NoError(t, m.Policies("SpawnPolicy", realHubNamespace).Delete(ctx, imported.Name, metav1.DeleteOptions{}))
	})
	m.Settle(t)
}

// launcher is a client with the token of the account that the policy lists.
func (m *move) launcher(t *testing.T, imported *v1alpha1.SpawnPolicy) corev1client.PodInterface {
	t.Helper()
	account := imported.Spec.Launchers[0].ServiceAccount
	client, has := m.launchers[account.Name]
	if !has {
		rights := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}}}
		config, err := m.Account(t.Context(), account.Namespace, account.Name, rights)
		require.NoError(t, err)
		client = kubernetes.NewForConfigOrDie(config)
		m.launchers[account.Name] = client
	}
	return client.CoreV1().Pods(account.Namespace)
}

// makeWhatPodsName makes the accounts and priority classes of the recorded pods: without them admission refuses a pod.
func (m *move) makeWhatPodsName(t *testing.T, hubs []parity.RealHub) {
	t.Helper()
	accounts, classes := sets.New[string](), sets.New[string]()
	for i := range hubs {
		for _, s := range hubs[i].Servers {
			if pod := recordedPod(t, s); pod != nil {
				accounts.Insert(pod.Spec.ServiceAccountName)
				classes.Insert(pod.Spec.PriorityClassName)
			}
		}
	}
	for name := range accounts.Delete("") {
		require.NoError(t, m.Cluster.EnsureServiceAccount(t.Context(), realHubNamespace, name))
	}
	for name := range classes.Delete("") {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := m.Admin.SchedulingV1().PriorityClasses().Create(t.Context(), class, metav1.CreateOptions{})
		require.NoError(t, err)
		// Admission reads classes from a cache.
		plain := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "plain"},
			Spec:       corev1.PodSpec{PriorityClassName: name, Containers: []corev1.Container{{Name: "a", Image: "b"}}},
		}
		require.NoError(t, world.Eventually(t.Context(), func() error {
			_, err := m.pods().Create(t.Context(), plain, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}))
	}
}

// try launches one server and holds what is stored against the recorded pod.
func (m *move) try(t *testing.T, hub corev1client.PodInterface, h *parity.RealHub, imported *v1alpha1.SpawnPolicy, s parity.RealServer) {
	t.Helper()
	m.total++
	recorded := recordedPod(t, s)
	skeleton := launcher.Skeleton(identityOf(s, imported, recorded), realHubNamespace)
	stored, err := hub.Create(t.Context(), skeleton, metav1.CreateOptions{})
	if recorded == nil {
		if refusesLikewise(t, err) {
			m.equal++
		}
		return
	}
	if err == nil {
		m.Remove(t, stored)
	}
	want, wantErr := m.pods().Create(t.Context(), withHubEnv(recorded, stored), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if wantErr != nil {
		// Some recorded pods are no pods for an API server, such as one without a claim's name: then ours is none for the same reason.
		if assert.EqualError(t, err, wantErr.Error(), "%s %q %v", s.User, s.Server, s.Options) {
			m.refused++
		}
		return
	}
	require.NoError(t, err, "%s %q %v", s.User, s.Server, s.Options)
	lines, err := parity.DiffPods(asJSON(t, asSent(want)), asJSON(t, asSent(stored)))
	require.NoError(t, err)
	if assert.Empty(t, h.Unexplained(s, lines), "%s %q %v", s.User, s.Server, s.Options) {
		m.equal++
	}
}

// refusesLikewise: where KubeSpawner raises an error, it is for what the user chose or for a setting, and so is the denial.
func refusesLikewise(t *testing.T, err error) bool {
	t.Helper()
	for _, r := range world.AsDenied(t, err).Reasons {
		if !assert.Contains(t, []policy.Code{policy.ProfileUnknown, policy.ProfileNotAllowed, policy.OptionInvalid, policy.PolicyInvalid}, r.Code, r.Message) {
			return false
		}
	}
	return true
}

// recordedPod is nil where KubeSpawner raised an error.
func recordedPod(t *testing.T, s parity.RealServer) *corev1.Pod {
	t.Helper()
	if s.Error != "" {
		return nil
	}
	pod := &corev1.Pod{}
	require.NoError(t, json.Unmarshal(s.Pod, pod))
	return pod
}

// identityOf is what the hub's launcher would say of the server.
func identityOf(s parity.RealServer, imported *v1alpha1.SpawnPolicy, recorded *corev1.Pod) policy.Identity {
	id := policy.Identity{
		Name: "jupyter-" + policy.SafeUserServer(s.User, s.Server), Hub: imported.Spec.Hubs[0], User: s.User, Server: s.Server,
		UserID: new(int64(realHubUserID)), Options: map[string]string{},
	}
	for name, choice := range s.Options {
		if name == "profile" {
			id.Profile = choice
			continue
		}
		id.Options[name] = choice
	}
	if recorded != nil {
		id.Name = recorded.Name
	}
	id.EnvSecret = id.Name + realHubEnv
	if recorded == nil {
		return id
	}
	for _, v := range recorded.Spec.Containers[0].Env {
		for _, pattern := range imported.Spec.HubEnv {
			if fits, err := path.Match(pattern, v.Name); err == nil && fits {
				id.EnvKeys = append(id.EnvKeys, v.Name)
			}
		}
	}
	return id
}

// withHubEnv is the recorded pod with the variables that ours has from the hub's Secret: their values are the hub's, and
// compared by name alone.
func withHubEnv(recorded, stored *corev1.Pod) *corev1.Pod {
	given := map[string]*corev1.EnvVarSource{}
	for i := range stored.Spec.Containers {
		for _, v := range stored.Spec.Containers[i].Env {
			if from := v.ValueFrom; from != nil && from.SecretKeyRef != nil && strings.HasSuffix(from.SecretKeyRef.Name, realHubEnv) {
				given[v.Name] = from
			}
		}
	}
	pod := recorded.DeepCopy()
	env := pod.Spec.Containers[0].Env
	for i := range env {
		if from, has := given[env[i].Name]; has {
			env[i].Value, env[i].ValueFrom = "", from
		}
	}
	return pod
}

// asSent takes away what every stored pod has of its own. All that defaulting and in-tree admission add stands in both pods.
func asSent(stored *corev1.Pod) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: stored.Name, Labels: stored.Labels, Annotations: stored.Annotations},
		Spec:       *stored.Spec.DeepCopy(),
	}
	const token = "kube-api-access-" // and five letters at random
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; strings.HasPrefix(v.Name, token) {
			v.Name = token
		}
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			for j := range containers[i].VolumeMounts {
				if m := &containers[i].VolumeMounts[j]; strings.HasPrefix(m.Name, token) {
					m.Name = token
				}
			}
		}
	}
	return pod
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}
