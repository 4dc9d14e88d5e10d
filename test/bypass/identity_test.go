package bypass

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// relabel changes a namespace's label test, by which the tests' cluster policies select.
func relabel(ctx context.Context, w *world.World, ns, value string) error {
	_, err := w.Admin.CoreV1().Namespaces().Patch(ctx, ns, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"test":%q}}}`, value), metav1.PatchOptions{})
	return err
}

var namespaceGames = []attempt{
	{"a namespace relabelled while a server runs", func(t *testing.T, w *world.World) {
		ns := place(t, w, enforcing)
		pod := running(t, w, ns)
		require.NoError(t, relabel(t.Context(), w, ns, "nowhere"))
		require.NoError(t, w.Policies("SpawnPolicy", ns).Delete(t.Context(), "course", metav1.DeleteOptions{}))
		w.Settle(t)
		_, err := w.Forger.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"notebook","image":"evil"}]}}`), metav1.PatchOptions{})
		denied(t, err, policy.FieldChanged)
		require.NoError(t, world.Eventually(t.Context(), func() error { // until both replicas have seen the namespace's new label
			_, err := debug(t, w, ns, pod.Name, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "quay.io/x"}})
			if err == nil || !strings.Contains(err.Error(), string(policy.NoPolicy)) {
				return fmt.Errorf("not denied for want of a policy: %w", err)
			}
			return nil
		}))
	}},
	{"a namespace that no policy selects", func(t *testing.T, w *world.World) {
		ns := w.Namespace(t)
		w.Put(t, ns, "\nkind: ClusterSpawnPolicy\nmetadata: {name: NAMESPACE}\nspec: {namespaceSelector: {matchLabels: {tier: gold}}, launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]}\n")
		_, err := w.Launch(t, ns, nil)
		denied(t, err, policy.NoPolicy)
	}},
	{"a hub's pod in the namespace that cluster policies leave out", func(t *testing.T, w *world.World) {
		require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), metav1.NamespaceSystem, "default"))
		pod := plain("jupyter-alice")
		pod.Labels, pod.Annotations = map[string]string{policy.LabelHub: "main"}, map[string]string{policy.AnnotationUsername: "alice"}
		_, err := w.Forger.CoreV1().Pods(metav1.NamespaceSystem).Create(t.Context(), pod, metav1.CreateOptions{})
		denied(t, err)
	}},
	{"a namespace called like one that is left out", func(t *testing.T, w *world.World) {
		name := world.OwnNamespace + "-x"
		require.NoError(t, w.Cluster.CreateNamespace(t.Context(), name, nil))
		w.SettleNamespace(t, name)
		_, err := w.Launch(t, name, nil)
		denied(t, err, policy.NoPolicy)
	}},
	{"labels that change while pods are created", func(t *testing.T, w *world.World) {
		ns := place(t, w, enforcing)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := relabel(context.WithoutCancel(ctx), w, ns, map[bool]string{true: ns, false: "nowhere"}[i%2 == 1]); err != nil {
					ended <- err
					return
				}
			}
			ended <- relabel(context.WithoutCancel(ctx), w, ns, ns)
		}()
		for i := range 40 {
			id := as(fmt.Sprintf("user-%d", i), "")
			pod, err := launch(t, w, ns, id, nil)
			if err == nil { // the cluster policy held, since nobody else lists the launcher
				assert.Equal(t, "users", pod.Spec.NodeSelector["pool"])
			}
		}
		stop()
		require.NoError(t, <-ended)
	}},
}

// home gives each user a claim by a template.
const home = `
kind: SpawnPolicy
metadata: {name: home}
spec:
  defaults:
    storagePvcEnsure: true
    pvcNameTemplate: %q
    volumes: {home: {persistentVolumeClaim: {claimName: "{pvc_name}"}}}
    volumeMounts: {home: {mountPath: /home, subPath: "{unescaped_username}"}}
`

// claim makes a claim, as the companion would or as anybody could.
func claim(name string, labels, annotations map[string]string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

// sized lets the companion make the claims of home.
const sized = `
kind: SpawnPolicy
metadata: {name: sized}
spec: {deleteClaims: true, defaults: {storageCapacity: 1Gi}}
`

// made waits for a claim that the companion makes.
func made(t *testing.T, w *world.World, ns, name string) *corev1.PersistentVolumeClaim {
	t.Helper()
	var found *corev1.PersistentVolumeClaim
	require.NoError(t, world.Eventually(t.Context(), func() (err error) {
		found, err = w.Admin.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), name, metav1.GetOptions{})
		return err
	}))
	return found
}

// until wants an answer that may take the replicas' caches a moment.
func until(t *testing.T, try func() error, code policy.Code) {
	t.Helper()
	require.NoError(t, world.Eventually(t.Context(), func() error {
		if err := try(); err == nil || !strings.Contains(err.Error(), "Slipway "+string(code)) {
			return fmt.Errorf("not denied with %s: %w", code, err)
		}
		return nil
	}))
}

var identityCollision = []attempt{
	{"names that differ in case, in look, in dashes, in length", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		seen := map[string]string{}
		for _, user := range []string{"anna", "Anna", "аnna", "anna-", "-anna", "an--na", strings.Repeat("a", 70), strings.Repeat("a", 71), "an_na", "an.na", "ANNA"} {
			pod, err := launch(t, w, ns, as(user, ""), nil)
			require.NoError(t, err, user)
			assert.Empty(t, seen[pod.Name], "%q and %q meet", user, seen[pod.Name])
			seen[pod.Name] = user
		}
	}},
	{"a server's name that makes two users meet", func(t *testing.T, w *world.World) {
		assert.NotEqual(t, policy.SafeUserServer("a", "b--c"), policy.SafeUserServer("a--b", "c"))
		ns := place(t, w)
		for _, id := range []policy.Identity{as("a", "b--c"), as("a--b", "c")} {
			_, err := launch(t, w, ns, id, nil)
			require.NoError(t, err)
		}
		id := as("a--b", "c")
		id.Name = as("a", "b--c").Name
		_, err := launch(t, w, ns, id, nil)
		denied(t, err, policy.NameMismatch)
	}},
	{"a label that says another user than the annotation", func(t *testing.T, w *world.World) {
		_, err := w.Launch(t, place(t, w), func(p *corev1.Pod) { p.Labels[policy.LabelUsername] = "bob" })
		world.RequireDenied(t, err, policy.IdentityConflict, "metadata.labels[hub.jupyter.org/username]")
	}},
	{"nobody, and the folder above", func(t *testing.T, w *world.World) {
		ns := place(t, w, fmt.Sprintf(home, "claim-{username}"))
		_, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Annotations[policy.AnnotationUsername], p.Labels[policy.LabelUsername] = "", "" })
		denied(t, err, policy.IdentityInvalid)
		for _, user := range []string{"..", "../bob", "/"} {
			_, err := launch(t, w, ns, as(user, ""), nil)
			require.Error(t, err, user) // a subPath of that name the API server refuses itself
		}
	}},
	{"a dash at the end that a template would lose", func(t *testing.T, w *world.World) {
		ns := place(t, w, fmt.Sprintf(home, "claim-{username}"))
		mallory, err := launch(t, w, ns, as("bob-", ""), nil)
		if err == nil {
			assert.NotEqual(t, "bob", notebook(mallory).VolumeMounts[0].SubPath, "bob's folder")
			return
		}
		denied(t, err)
	}},
	{"one claim's name for all", func(t *testing.T, w *world.World) {
		ns := place(t, w, fmt.Sprintf(home, "shared"))
		_, err := w.Admin.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim("shared", nil, map[string]string{policy.AnnotationUsername: "bob"}), metav1.CreateOptions{})
		require.NoError(t, err)
		until(t, func() error {
			_, err := launcher.Launch(t.Context(), w.Hub, world.Alice, ns, launcher.Options{DryRun: true})
			return err
		}, policy.IdentityConflict)
	}},
	{"one claim's name for all, made for the first", func(t *testing.T, w *world.World) {
		ns := place(t, w, fmt.Sprintf(home, "shared"), sized)
		running(t, w, ns)
		require.Equal(t, "alice", made(t, w, ns, "shared").Annotations[policy.AnnotationUsername])
		until(t, func() error {
			_, err := launcher.Launch(t.Context(), w.Hub, as("bob", ""), ns, launcher.Options{DryRun: true})
			return err
		}, policy.IdentityConflict)
	}},
}

var forgedIdentity = []attempt{
	{"somebody with rights on pods", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(world.Alice, ns), metav1.CreateOptions{})
		denied(t, err, policy.LauncherNotAllowed)
	}},
	{"somebody with an image, so that the API server itself would take the pod", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := launcher.Skeleton(world.Alice, ns)
		pod.Spec.Containers[0].Image = "evil"
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
		denied(t, err, policy.LauncherNotAllowed)
	}},
	{"a launcher beyond what its entry lets it say", func(t *testing.T, w *world.World) {
		ns := w.Namespace(t)
		w.Put(t, ns, course, `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: jupyter, name: hub}, hubs: [main], users: ["student-*"], mayAssertGroups: [students]}]
`)
		good := as("student-1", "")
		good.Groups = []string{"students"}
		_, err := launch(t, w, ns, good, nil)
		require.NoError(t, err)
		for name, change := range map[string]func(*policy.Identity){
			"another hub":   func(id *policy.Identity) { id.Hub = "other" },
			"another user":  func(id *policy.Identity) { *id = as("teacher", "") },
			"another group": func(id *policy.Identity) { id.Groups = []string{"students", "staff"} },
		} {
			id := as("student-2", "")
			change(&id)
			_, err := launch(t, w, ns, id, nil)
			require.Error(t, err, name)
			denied(t, err, policy.LauncherNotAllowed)
		}
	}},
	{"groups where the cluster itself says who is in which", func(t *testing.T, w *world.World) {
		ns := place(t, w, `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE-groups}
spec: {namespaceSelector: {matchLabels: {test: NAMESPACE}}, groupMap: {staff: [bob]}}
`, "\nkind: SpawnPolicy\nmetadata: {name: profiles}\nspec: {profiles: [{slug: cpu}, {slug: gpu, allowedGroups: [staff]}]}\n")
		id := as("alice", "")
		id.Groups, id.Profile = []string{"staff"}, "gpu"
		_, err := launch(t, w, ns, id, nil)
		denied(t, err, policy.ProfileNotAllowed)
	}},
}

var nameGames = []attempt{
	{"a generated name", func(t *testing.T, w *world.World) {
		_, err := w.Launch(t, place(t, w), func(p *corev1.Pod) { p.Name, p.GenerateName = "", "jupyter-alice" })
		world.RequireDenied(t, err, policy.NameMismatch, "metadata.generateName")
	}},
	{"another's name", func(t *testing.T, w *world.World) {
		_, err := w.Launch(t, place(t, w), func(p *corev1.Pod) { p.Name = "jupyter-bob" })
		world.RequireDenied(t, err, policy.NameMismatch, "metadata.name")
	}},
	{"no namespace in the object", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Namespace = "" })
		require.NoError(t, err)
		assert.Equal(t, ns, pod.Namespace)
		assert.Equal(t, "quay.io/jupyter/minimal-notebook:2026-01-05", notebook(pod).Image)
	}},
	{"another namespace in the object", func(t *testing.T, w *world.World) {
		_, err := w.Launch(t, place(t, w), func(p *corev1.Pod) { p.Namespace = "default" })
		require.ErrorContains(t, err, "does not match")
	}},
}

var laxest = []attempt{
	{"a loose and a tight policy in every order", func(t *testing.T, w *world.World) {
		const loose = "\nkind: ClusterSpawnPolicy\nmetadata: {name: NAMESPACE-%s}\nspec: {namespaceSelector: {matchLabels: {test: NAMESPACE}}, priority: %d, skeleton: Strip, additions: {mode: Allow}, constraints: {memLimit: {max: 64Gi}, image: {allow: [\"*\"]}}, enforced: {uid: 0}}\n"
		const tight = "\nkind: ClusterSpawnPolicy\nmetadata: {name: NAMESPACE-%s}\nspec: {namespaceSelector: {matchLabels: {test: NAMESPACE}}, priority: %d, skeleton: Strict, constraints: {memLimit: {max: 512Mi}, image: {allow: [\"docker.io/*\"]}}}\n"
		for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
			for _, priority := range []int{-1, 0, 1} {
				ns := w.Namespace(t)
				policies := []string{fmt.Sprintf(loose, order[0], priority), fmt.Sprintf(tight, order[1], -priority)}
				if i == 1 {
					policies[0], policies[1] = policies[1], policies[0]
				}
				w.PutUnjudged(t, ns, append(policies, world.HubLaunches, course)...)
				_, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Labels["x"] = "y" })
				denied(t, err, policy.SkeletonNotBare)
				_, err = w.Launch(t, ns, nil)
				assert.Equal(t, []policy.Code{policy.ConstraintViolated, policy.ConstraintViolated}, world.AsDenied(t, err).Codes(), "memory and image")
			}
		}
	}},
	{"a namespace that lists more launchers than the cluster", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: more}\nspec: {priority: 1000, launchers: [{serviceAccount: {namespace: jupyter, name: forger}}, {serviceAccount: {namespace: jupyter, name: hub}}]}\n")
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), launcher.Skeleton(world.Alice, ns), metav1.CreateOptions{})
		denied(t, err, policy.LauncherNotAllowed)
	}},
	{"a namespace's audit, for a hub that the cluster's policy isn't for", func(t *testing.T, w *world.World) {
		ns := w.Namespace(t)
		w.PutUnjudged(t, ns, strings.Replace(world.HubLaunches, "spec:", "spec:\n  hubs: [main]\n  enforced: {privileged: false}", 1),
			"\nkind: SpawnPolicy\nmetadata: {name: mine}\nspec: {enforcement: Audit, skeleton: Keep}\n")
		id := world.Alice
		id.Hub = "other"
		for _, client := range []kubernetes.Interface{w.Hub, w.Forger} {
			pod := launcher.Skeleton(id, ns)
			pod.Spec.HostPID = true
			pod.Spec.Containers[0].Image = "evil"
			_, err := client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
			denied(t, err, policy.NoPolicy)
		}
	}},
	{"a namespace whose enforced word is against the cluster's", func(t *testing.T, w *world.World) {
		ns := place(t, w, enforcing, "\nkind: SpawnPolicy\nmetadata: {name: more}\nspec: {priority: 1000, enforced: {privileged: true, allowPrivilegeEscalation: true, nodeSelector: {pool: gpu}}}\n")
		pod := running(t, w, ns)
		assert.Equal(t, "users", pod.Spec.NodeSelector["pool"])
		assert.Equal(t, new(false), notebook(pod).SecurityContext.AllowPrivilegeEscalation)
		assert.Nil(t, notebook(pod).SecurityContext.Privileged)
	}},
}

var confusedDeputy = []attempt{
	{"a policy of one namespace says nothing of another", func(t *testing.T, w *world.World) {
		a, b := place(t, w), w.Namespace(t)
		w.Put(t, b, "\nkind: SpawnPolicy\nmetadata: {name: own}\nspec: {launchers: [{serviceAccount: {namespace: jupyter, name: forger}}], defaults: {image: evil}}\n")
		assert.Equal(t, "quay.io/jupyter/minimal-notebook:2026-01-05", notebook(running(t, w, a)).Image)
		_, err := w.Forger.CoreV1().Pods(a).Create(t.Context(), launcher.Skeleton(as("eve", ""), a), metav1.CreateOptions{})
		denied(t, err, policy.LauncherNotAllowed)
	}},
	{"a claim planted with another user's annotations", func(t *testing.T, w *world.World) {
		ns := place(t, w, fmt.Sprintf(home, "claim-{username}"), "\nkind: SpawnPolicy\nmetadata: {name: adopt}\nspec: {adoptClaims: Never}\n")
		forger := account(t, w, "jupyter", "claims-"+ns, append(podRights, claimRights...))
		_, err := forger.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim("planted", nil, map[string]string{policy.AnnotationUsername: "alice"}), metav1.CreateOptions{})
		require.NoError(t, err)
		assert.Equal(t, "claim-alice", running(t, w, ns).Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
	}},
	{"a claim planted with the hub's label too", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		forger := account(t, w, "jupyter", "claims-"+ns, append(podRights, claimRights...))
		marks := map[string]string{policy.AnnotationUsername: "alice"}
		_, err := forger.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim("planted", map[string]string{policy.LabelHub: "main"}, marks), metav1.CreateOptions{})
		denied(t, err, policy.FieldChanged)
		_, err = forger.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim("planted", nil, marks), metav1.CreateOptions{})
		require.NoError(t, err)
		_, err = forger.CoreV1().PersistentVolumeClaims(ns).Patch(t.Context(), "planted", types.MergePatchType, []byte(`{"metadata":{"labels":{"slipway.dev/hub":"main"}}}`), metav1.PatchOptions{})
		denied(t, err, policy.FieldChanged)
	}},
	{"a home whose deletion somebody else asks for", func(t *testing.T, w *world.World) {
		ns := place(t, w, fmt.Sprintf(home, "claim-{username}"), sized)
		w.Remove(t, running(t, w, ns))
		before := made(t, w, ns, "claim-alice")
		forger := account(t, w, "jupyter", "claims-"+ns, append(podRights, claimRights...))
		for _, by := range []string{"system:serviceaccount:jupyter:hub", "system:serviceaccount:jupyter:claims-" + ns} {
			_, err := forger.CoreV1().PersistentVolumeClaims(ns).Patch(t.Context(), "claim-alice", types.MergePatchType,
				fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, policy.AnnotationDeleteRequested, by), metav1.PatchOptions{})
			denied(t, err, policy.FieldChanged)
		}
		after := made(t, w, ns, "claim-alice")
		assert.Equal(t, before.UID, after.UID)
		assert.Nil(t, after.DeletionTimestamp)
	}},
	{"cluster-only fields in a namespace's policy", func(t *testing.T, w *world.World) {
		ns := w.Namespace(t)
		for _, spec := range []string{"{namespaceSelector: {}}", "{groupMap: {staff: [alice]}}"} {
			require.Error(t, w.TryPut(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: a}\nspec: "+spec+"\n"))
		}
	}},
}

var options = []attempt{
	{"profiles and choices that aren't the user's", func(t *testing.T, w *world.World) {
		ns := place(t, w, choices)
		for name, c := range map[string]struct {
			profile string
			options map[string]string
			code    policy.Code
		}{
			"unknown profile":          {"tpu", nil, policy.ProfileUnknown},
			"a profile of others":      {"gpu", nil, policy.ProfileNotAllowed},
			"unknown choice":           {"cpu", map[string]string{"size": "huge"}, policy.OptionInvalid},
			"a choice of others":       {"cpu", map[string]string{"size": "large"}, policy.ProfileNotAllowed},
			"text where none is taken": {"cpu", map[string]string{"size--unlisted-choice": "x"}, policy.OptionInvalid},
			"text without a profile":   {"", map[string]string{"image--unlisted-choice": "evil/image:1"}, policy.OptionInvalid},
			"text that fits in part":   {"cpu", map[string]string{"image--unlisted-choice": "evil quay.io/a:1"}, policy.OptionInvalid},
			"a line more":              {"cpu", map[string]string{"image--unlisted-choice": "quay.io/a:1\n"}, policy.OptionInvalid},
			"a line before":            {"cpu", map[string]string{"image--unlisted-choice": "evil\nquay.io/a:1"}, policy.OptionInvalid},
		} {
			id := as("alice", "")
			id.Profile, id.Options = c.profile, c.options
			_, err := launch(t, w, ns, id, nil)
			require.Error(t, err, name)
			denied(t, err, c.code)
		}
	}},
	{"text that carries braces and quotes", func(t *testing.T, w *world.World) {
		ns := place(t, w, choices)
		id := as("alice", "")
		id.Options = map[string]string{"note--unlisted-choice": `{username} {0.__class__} {{ "}" $(COURSE)`}
		pod, err := launch(t, w, ns, id, nil)
		require.NoError(t, err)
		assert.Contains(t, notebook(pod).Env, corev1.EnvVar{Name: "NOTE", Value: id.Options["note--unlisted-choice"]})
	}},
	{"one option twice, and no map at all", func(t *testing.T, w *world.World) {
		ns := place(t, w, choices)
		for _, text := range []string{`{"size":"small","size":"large"}`, `[]`, `{"size":1}`, `{"size":{"a":"b"}}`, `{`} {
			_, err := w.Launch(t, ns, func(p *corev1.Pod) { p.Annotations[policy.AnnotationOptions] = text })
			world.RequireDenied(t, err, policy.IdentityInvalid, "metadata.annotations[slipway.dev/options]")
		}
	}},
	{"very many options", func(t *testing.T, w *world.World) {
		ns := place(t, w, choices)
		for _, size := range []int{40 << 10, 1 << 20} {
			_, err := w.Launch(t, ns, func(p *corev1.Pod) {
				p.Annotations[policy.AnnotationOptions] = `{"size":"` + strings.Repeat("x", size) + `"}`
			})
			world.RequireDenied(t, err, policy.IdentityInvalid, "metadata.annotations[slipway.dev/options]")
		}
	}},
}

// choices are profiles with everything that can be chosen.
const choices = `
kind: SpawnPolicy
metadata: {name: choices}
spec:
  profiles:
  - slug: cpu
    options:
      size: {choices: {small: {settings: {memGuarantee: 1Gi}}, large: {allowedGroups: [staff], settings: {memGuarantee: 2Gi}}}}
      image: {choices: {default: {}}, unlistedChoice: {validationRegex: "quay\\.io/[a-z]+:\\d+", settings: {image: "{value}"}}}
      note: {choices: {none: {}}, unlistedChoice: {settings: {environment: {NOTE: "{value}"}}}}
  - {slug: gpu, allowedGroups: [staff]}
`

var templates = []attempt{
	{"a user called like a template", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: t}\nspec: {defaults: {environment: {WHO: \"{unescaped_username}\"}, extraAnnotations: {who: \"{unescaped_username}\"}}}\n")
		for _, user := range []string{"{username}", "{0.__class__}", "{{", "}", "{unescaped_username}{unescaped_username}", "$(COURSE)", "%U"} {
			pod, err := launch(t, w, ns, as(user, ""), nil)
			require.NoError(t, err, user)
			assert.Contains(t, notebook(pod).Env, corev1.EnvVar{Name: "WHO", Value: user})
			assert.Equal(t, user, pod.Annotations["who"])
		}
	}},
	{"a template that reaches into objects", func(t *testing.T, w *world.World) {
		for _, text := range []string{"{username.__class__}", "{username[0]}", "{username!r}", "{username:>1000000000}", "{0}", "{"} {
			ns := w.Namespace(t)
			w.PutUnjudged(t, ns, world.HubLaunches, fmt.Sprintf("\nkind: SpawnPolicy\nmetadata: {name: t}\nspec: {defaults: {image: a, workingDir: %q}}\n", text))
			_, err := w.Launch(t, ns, nil)
			world.RequireDenied(t, err, policy.PolicyInvalid, "spec.defaults.workingDir")
		}
	}},
	{"the name that an enforced volume has once its template is filled in", func(t *testing.T, w *world.World) {
		ns := w.Namespace(t)
		w.PutUnjudged(t, ns, world.HubLaunches, `
kind: ClusterSpawnPolicy
metadata: {name: enforce-NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  defaults: {image: a}
  enforced: {volumes: {"v-{username}": {emptyDir: {}}}}`)
		for _, spec := range []string{
			`{defaults: {volumes: {v-alice: {hostPath: {path: /}}}}}`,
			`{expressions: {volumes: "[{'name': dyn('v-alice'), 'hostPath': dyn({'path': '/'})}]"}}`,
		} {
			_, err := launchUnder(t, w, ns, spec)
			world.RequireDenied(t, err, policy.TemplateInvalid, "volumes")
		}
	}},
	{"expressions and mutations of a namespace against what the cluster enforces", func(t *testing.T, w *world.World) {
		ns := w.Namespace(t)
		w.PutUnjudged(t, ns, world.HubLaunches, `
kind: ClusterSpawnPolicy
metadata: {name: enforce-NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  defaults: {image: "registry.example/a:1"}
  enforced: {uid: 1000, privileged: false, allowPrivilegeEscalation: false, nodeSelector: {pool: users}, serviceAccount: default, automountServiceAccountToken: false}
  constraints: {image: {allow: ["registry.example/*"]}, podSecurity: baseline}
  validations: [{expression: "!object.spec.?hostNetwork.orValue(false)", message: "no network of the host"}]`)
		for spec, code := range map[string]policy.Code{
			`{expressions: {uid: "0"}}`: "",
			`{expressions: {privileged: "true", nodeSelector: "{'pool': 'masters'}"}}`:        "",
			mutating("/spec/containers/0/securityContext", "{'runAsUser': 0}"):                "",
			mutating("/spec/nodeSelector", "{'pool': 'masters'}"):                             "",
			mutating("/spec/automountServiceAccountToken", "true"):                            "",
			mutating("/spec/nodeName", "'master'"):                                            "",
			mutating("/spec/hostNetwork", "true"):                                             policy.ValidationFailed,
			mutating("/spec/volumes/-", "{'name': dyn('h'), 'hostPath': dyn({'path': '/'})}"): policy.ConstraintViolated,
			mutating("/spec/initContainers/-", "{'name': 'i', 'image': 'evil'}"):              policy.ConstraintViolated,
			`{expressions: {image: "'evil'"}}`:                                                policy.ConstraintViolated,
			mutating("/metadata/labels/slipway.dev~1hub", "'other'"):                          policy.ExpressionFailed,
			mutating("/metadata/annotations/hub.jupyter.org~1username", "'bob'"):              policy.ExpressionFailed,
			mutating("/metadata/ownerReferences", "[{'name': 'x'}]"):                          policy.ExpressionFailed,
		} {
			pod, err := launchUnder(t, w, ns, spec)
			if code != "" {
				require.Error(t, err, spec)
				assert.True(t, slices.ContainsFunc(world.AsDenied(t, err).Reasons, func(r policy.Denial) bool { return r.Code == code }), "%s: %v", spec, err)
				continue
			}
			require.NoError(t, err, spec)
			w.Remove(t, pod)
			notebook := pod.Spec.Containers[0]
			assert.Equal(t, int64(1000), *notebook.SecurityContext.RunAsUser, spec)
			assert.Nil(t, notebook.SecurityContext.Privileged, spec)
			assert.Equal(t, map[string]string{"pool": "users"}, pod.Spec.NodeSelector, spec)
			assert.False(t, *pod.Spec.AutomountServiceAccountToken, spec)
			assert.Empty(t, pod.Spec.NodeName, spec)
		}
	}},
	{"what a user is called, and expressions", func(t *testing.T, w *world.World) {
		ns := w.Namespace(t)
		w.Put(t, ns, world.HubLaunches, `
kind: SpawnPolicy
metadata: {name: t}
spec:
  expressions: {"environment[WHO]": "user.annotations['who']", workingDir: "'/home/' + user.annotations['who']"}`)
		id := world.Alice
		for _, who := range []string{"{username}", "' + string(1) + '", "$(JUPYTERHUB_API_TOKEN)", "\u0000", "${{secrets}}"} {
			id.UserAnnotations = map[string]string{"who": who}
			pod, err := launch(t, w, ns, id, nil)
			require.NoError(t, err, who)
			w.Remove(t, pod)
			assert.Contains(t, pod.Spec.Containers[0].Env, corev1.EnvVar{Name: "WHO", Value: who})
			assert.Equal(t, "/home/"+who, pod.Spec.Containers[0].WorkingDir)
		}
	}},
	{"an expression that costs too much", func(t *testing.T, w *world.World) {
		ns := w.Namespace(t)
		w.Put(t, ns, world.HubLaunches, `
kind: SpawnPolicy
metadata: {name: t}
spec: {validations: [{expression: "groups.all(a, groups.all(b, a != 'x' || b != 'y'))"}]}`)
		id := world.Alice
		for i := range 1500 {
			id.Groups = append(id.Groups, fmt.Sprintf("group-%d", i))
		}
		started := time.Now()
		_, err := launch(t, w, ns, id, nil)
		world.RequireDenied(t, err, policy.ExpressionFailed, "spec.validations[0].expression")
		assert.Less(t, time.Since(started), 4*time.Second)
	}},
}

// launchUnder starts alice's server while a namespace has one more policy.
func launchUnder(t *testing.T, w *world.World, ns, spec string) (*corev1.Pod, error) {
	t.Helper()
	w.PutUnjudged(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: t}\nspec: "+spec+"\n")
	pod, err := w.Launch(t, ns, nil)
	require.NoError(t, w.Policies("SpawnPolicy", ns).Delete(t.Context(), "t", metav1.DeleteOptions{}))
	return pod, err
}

// mutating is a policy with one JSONPatch.
func mutating(path, value string) string {
	return fmt.Sprintf(`{mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'add', path: '%s', value: %s}]"}]}`, path, value)
}

var twoHubs = []attempt{
	{"one user of two hubs in one namespace", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		first := running(t, w, ns)
		id := world.Alice
		id.Hub = "other"
		_, err := launch(t, w, ns, id, nil)
		require.ErrorContains(t, err, "already exists")
		stored, err := w.Hub.CoreV1().Pods(ns).Get(t.Context(), first.Name, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, first.UID, stored.UID)
		assert.Equal(t, "main", stored.Labels[policy.LabelHub])
	}},
	{"one claim", func(t *testing.T, w *world.World) {
		ns := place(t, w, fmt.Sprintf(home, "claim-{username}"))
		companion := kubernetes.NewForConfigOrDie(w.WebhookConfig(t))
		require.NoError(t, w.Grant(t.Context(), "test-claims-"+ns, world.OwnNamespace, "slipway-webhook", claimRights))
		_, err := companion.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(),
			claim("claim-alice", map[string]string{policy.LabelHub: "main"}, map[string]string{policy.AnnotationUsername: "alice"}), metav1.CreateOptions{})
		require.NoError(t, err)
		id := world.Alice
		id.Hub = "other"
		until(t, func() error {
			_, err := launcher.Launch(t.Context(), w.Hub, id, ns, launcher.Options{DryRun: true})
			return err
		}, policy.IdentityConflict)
		assert.Equal(t, "claim-alice", running(t, w, ns).Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
	}},
	{"one hub's launcher takes over the other's server", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		_, err := w.Hub.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(`{"metadata":{"labels":{"slipway.dev/hub":"other"}}}`), metav1.PatchOptions{})
		denied(t, err, policy.FieldChanged)
	}},
}
