package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/parity"
	"github.com/slipway-hub/slipway/test/world"
)

// asAudit gives the policies another name and says Audit in each.
func asAudit(manifests ...string) []string {
	audits := make([]string, len(manifests))
	for i, m := range manifests {
		audits[i] = strings.Replace(strings.Replace(m, "-NAMESPACE}", "-audit-NAMESPACE}", 1), "spec:\n", "spec:\n  enforcement: Audit\n", 1)
	}
	return audits
}

// hubPods are pods of the real KubeSpawner as raw JSON: those of real hubs, and those of the table of Keep.
func hubPods(t *testing.T) map[string][]byte {
	t.Helper()
	pods := map[string][]byte{}
	for name, c := range kubespawners {
		pods["kubespawner/"+name] = asJSON(t, spawned(t, c))
	}
	for _, h := range parity.RealHubs(t) {
		for i, s := range h.Servers {
			if s.Error == "" {
				pods[fmt.Sprintf("%s/%d", h.Name, i)] = s.Pod
			}
		}
	}
	return pods
}

// document is the pod with a namespace, with the hub label or without.
func document(t *testing.T, pod []byte, ns, hub string) []byte {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal(pod, &object))
	metadata := object["metadata"].(map[string]any)
	labels := metadata["labels"].(map[string]any)
	metadata["namespace"] = ns
	delete(labels, policy.LabelHub)
	if hub != "" {
		labels[policy.LabelHub] = hub
	}
	return asJSON(t, object)
}

// create stores raw JSON and gives the raw answer.
func create(t *testing.T, client kubernetes.Interface, ns string, pod []byte, o ...string) ([]byte, error) {
	t.Helper()
	r := client.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").SetHeader("Content-Type", "application/json").Body(pod)
	for _, dryRun := range o {
		r = r.Param("dryRun", dryRun)
	}
	result := r.Do(t.Context())
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// bytesOf is a stored pod without what the API server writes on each: no two pods have these alike.
func bytesOf(t *testing.T, stored []byte) string {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal(stored, &object), "%s", stored)
	metadata := object["metadata"].(map[string]any)
	for _, key := range []string{"uid", "creationTimestamp", "resourceVersion", "managedFields"} {
		delete(metadata, key)
	}
	delete(metadata["labels"].(map[string]any), policy.LabelHub)
	return regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`).ReplaceAllString(string(asJSON(t, object)), "kube-api-access")
}

// leaves are the paths of all scalars of a pod, with the keys of lists as the product writes them.
func leaves(path string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			leaves(member(path, key), item, into)
		}
		if len(v) == 0 {
			into[path] = "{}"
		}
	case []any:
		for i, item := range v {
			leaves(path+"["+keyOf(i, item)+"]", item, into)
		}
	default:
		into[path] = fmt.Sprint(v)
	}
}

var keyed = regexp.MustCompile(`\.(labels|annotations|nodeSelector|limits|requests|matchLabels)$`)

func member(path, key string) string {
	switch {
	case keyed.MatchString(path):
		return path + "[" + key + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// keyOf is the key of a list's item: of a mount its place, else its name, else its number.
func keyOf(i int, item any) string {
	object, _ := item.(map[string]any)
	for _, name := range []string{"mountPath", "name"} {
		if text, ok := object[name].(string); ok {
			return text
		}
	}
	return fmt.Sprint(i)
}

// differing are the leaves that two stored pods don't have alike, but for what every pod has of its own and for what in-tree
// admission computes of the rest.
func differing(before, after map[string]string) []string {
	paths := sets.New[string]()
	for _, both := range []map[string]string{before, after} {
		for path := range both {
			x, had := before[path]
			y, has := after[path]
			if x != y || had != has {
				paths.Insert(path)
			}
		}
	}
	ours := []string{"metadata.annotations[" + policy.AnnotationApplied + "]", "spec.serviceAccount"}
	return slices.DeleteFunc(sets.List(paths), func(path string) bool {
		// A limit without a request becomes one.
		limit := strings.Replace(path, ".requests[", ".limits[", 1)
		if _, had := before[path]; !had && limit != path && after[path] == after[limit] {
			return true
		}
		// So does the image's tag become a pull policy, and what the hub says of that can't be told from AlwaysPullImages' word.
		if strings.HasSuffix(path, ".imagePullPolicy") && isStripped(after) {
			return true
		}
		return slices.Contains(ours, path) || strings.Contains(path, "kube-api-access") || strings.Contains(path, "volumeMounts[/var/run/secrets/kubernetes.io/serviceaccount]") ||
			strings.HasPrefix(path, "status") || isFilled(path, before, after) || isFilled(path, after, before)
	})
}

// leavesOf are the leaves of a stored pod.
func leavesOf(t *testing.T, pod string) map[string]string {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(pod), &object))
	into := map[string]string{}
	leaves("", object, into)
	return into
}

// isFilled: what is empty on one side has something in it on the other, which is a difference of its own.
func isFilled(path string, empty, full map[string]string) bool {
	return empty[path] == "{}" && slices.ContainsFunc(slices.Collect(maps.Keys(full)), func(p string) bool { return p != path && isBelow(p, path) })
}

// isBelow says whether one path is another, or lies in it.
func isBelow(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// audit is what the webhook says of the last pod that the API server asked it about.
type audit struct{ outcome, reasons, differences string }

func lastAudit(t *testing.T, w *world.World) audit {
	t.Helper()
	answer := w.Replicas[0].Judge(t, w.Gate.LastRequest())
	assert.Empty(t, answer.Patch, "nothing is changed")
	assert.Equal(t, "Audit", answer.AuditAnnotations["enforcement"])
	return audit{answer.AuditAnnotations["audit-outcome"], answer.AuditAnnotations["audit-reasons"], answer.AuditAnnotations["audit-differences"]}
}

// changes are the differences, by path.
func (a audit) changes() map[string]string {
	changes := map[string]string{}
	for d := range strings.SplitSeq(a.differences, ", ") {
		if change, path, found := strings.Cut(d, " "); found {
			changes[path] = change
		}
	}
	return changes
}

// ensureWhatPodsName makes the accounts and priority classes that these pods name, where they aren't there.
func ensureWhatPodsName(t *testing.T, w *world.World, pods map[string][]byte, namespaces ...string) {
	t.Helper()
	classes := sets.New[string]()
	for _, raw := range pods {
		pod := &corev1.Pod{}
		require.NoError(t, json.Unmarshal(raw, pod))
		for _, ns := range namespaces {
			if account := pod.Spec.ServiceAccountName; account != "" {
				require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), ns, account))
			}
		}
		classes.Insert(pod.Spec.PriorityClassName)
	}
	api := w.Admin.SchedulingV1().PriorityClasses()
	for name := range classes.Delete("") {
		_, err := api.Create(t.Context(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		require.NoError(t, err)
		t.Cleanup(func() { _ = api.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
		plain := `{"metadata":{"name":"plain"},"spec":{"priorityClassName":"` + name + `","containers":[{"name":"a","image":"b"}]}}`
		require.NoError(t, world.Eventually(t.Context(), func() error { // admission reads classes from a cache
			_, err := create(t, w.Admin, namespaces[0], []byte(plain), metav1.DryRunAll)
			return err
		}))
	}
}

// bounds are too tight for any of these pods.
const bounds = `
kind: ClusterSpawnPolicy
metadata: {name: bounds-NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  constraints: {image: {allow: ["block:*", "jupyterhub/*"]}, podSecurity: baseline}
`

// stripped is a policy that takes nothing from the hub's pod: beside Keep the stricter mode holds.
func stripped(mode string) string {
	return `
kind: ClusterSpawnPolicy
metadata: {name: stripped-NAMESPACE}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  skeleton: ` + mode + `
  defaults: {image: "stripped:1", uid: 1000}
`
}

// The main use: a KubeSpawner hub is governed in Audit first. Its pods are stored byte for byte as without Slipway, and the report
// names exactly what would be otherwise: what the same pods are when the same policies are enforced.
func TestAuditOfRealHubsChangesNothingAndNamesExactlyTheDifferences(t *testing.T) {
	w := world.ForTest(t)
	pods := hubPods(t)
	for name, more := range map[string][]string{
		"Keep alone": nil, "Keep that enforces": {keepEnforces}, "Keep that denies": {keepEnforces, bounds},
		"Strip": {stripped("Strip")}, "Strict": {stripped("Strict")},
	} {
		t.Run(name, func(t *testing.T) {
			audited, enforced := w.Namespace(t), keepNamespace(t, w, more...)
			require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), audited, "course"))
			require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), audited, "enforced"))
			ensureWhatPodsName(t, w, pods, audited, enforced)
			w.Put(t, audited, asAudit(append([]string{keepOnly}, more...)...)...)
			counts := map[string]int{}
			for _, name := range slices.Sorted(maps.Keys(pods)) {
				counts[auditOne(t, w, name, pods[name], audited, enforced)]++
			}
			t.Logf("audit: %d pods of real hubs: %v", len(pods), counts)
		})
	}
}

// auditOne gives what would become of the pod.
func auditOne(t *testing.T, w *world.World, name string, pod []byte, audited, enforced string) string {
	t.Helper()
	without, withoutErr := create(t, w.Forger, audited, document(t, pod, audited, "")) // so that nobody is asked
	if withoutErr == nil {
		removeRaw(t, w, audited, without)
	}
	with, err := create(t, w.Hub, audited, document(t, pod, audited, "main"))
	if withoutErr != nil { // some recorded pods are none for an API server
		assert.EqualError(t, err, withoutErr.Error(), name)
		return "refused by the API server"
	}
	require.NoError(t, err, name)
	report := lastAudit(t, w)
	removeRaw(t, w, audited, with)
	assert.Equal(t, bytesOf(t, without), bytesOf(t, with), name)

	would, err := create(t, w.Hub, enforced, document(t, pod, enforced, "main"), metav1.DryRunAll)
	if err != nil {
		denied := world.AsDenied(t, err)
		var reasons []string
		for _, r := range denied.Reasons {
			reasons = append(reasons, strings.TrimSpace(string(r.Code)+" "+r.Field))
		}
		assert.Equal(t, "denied", report.outcome, name)
		// An answer has twenty causes at most.
		assert.Equal(t, reasons, strings.Split(report.reasons, ", ")[:len(reasons)], name)
		return "denied"
	}
	assert.Empty(t, report.reasons, name)
	assertExactly(t, name, leavesOf(t, strings.ReplaceAll(bytesOf(t, with), audited, enforced)), leavesOf(t, bytesOf(t, would)), report.changes())
	return report.outcome
}

// isStripped: the pod is policy's own, and has defaults where the hub's pod had something else.
func isStripped(pod map[string]string) bool {
	return strings.HasPrefix(pod["spec.containers[notebook].image"], "stripped")
}

// assertExactly wants each difference to be reported, and each report to be of one, and of its kind.
func assertExactly(t *testing.T, name string, before, after map[string]string, reported map[string]string) {
	t.Helper()
	// Tolerations are a set: the place of one says nothing, and the API server adds its own.
	const set = "spec.tolerations"
	differences := differing(before, after)
	for _, path := range differences {
		assert.True(t, slices.ContainsFunc(slices.Collect(maps.Keys(reported)), func(r string) bool {
			return isBelow(path, r) || isBelow(path, set) && isBelow(r, set)
		}), "%s: not reported: %s\n%v", name, path, reported)
	}
	for path, change := range reported {
		assert.True(t, slices.ContainsFunc(differences, func(d string) bool {
			return isBelow(d, path) || isBelow(path, set) && isBelow(d, set)
		}), "%s: no difference: %s", name, path)
		below := func(p string) bool { return isBelow(p, path) }
		was, is := slices.ContainsFunc(slices.Collect(maps.Keys(before)), below), slices.ContainsFunc(slices.Collect(maps.Keys(after)), below)
		want := map[[2]bool]string{{false, true}: "added", {true, true}: "changed", {true, false}: "removed"}[[2]bool{was, is}]
		if comesBack := was && is && isStripped(after) && change != "added"; !comesBack && !isBelow(path, set) {
			assert.Equal(t, want, change, "%s: %s", name, path)
		}
	}
}

func removeRaw(t *testing.T, w *world.World, ns string, stored []byte) {
	t.Helper()
	object := metav1.PartialObjectMetadata{}
	require.NoError(t, json.Unmarshal(stored, &object))
	w.Remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: object.Name}})
}

func TestAnAuditedPolicyBesideAnEnforcedOne(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	without, err := w.Launch(t, ns, nil)
	require.NoError(t, err)
	w.Remove(t, without)
	w.Put(t, ns, `
kind: ClusterSpawnPolicy
metadata: {name: audit-NAMESPACE}
spec:
  enforcement: Audit
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  launchers: [{serviceAccount: {namespace: other, name: other}}]
  enforced: {nodeSelector: {pool: audited}}
  constraints: {image: {allow: ["none"]}}
`)
	w.Warnings.Reset()
	with, err := w.Launch(t, ns, nil)
	require.NoError(t, err)
	w.Remove(t, with)
	assert.Equal(t, content(t, without), content(t, with), "the annotation with the hash, too")
	assert.Contains(t, w.Warnings.String(), "audit: would be denied: Slipway LauncherNotAllowed: ClusterSpawnPolicy audit-"+ns)

	t.Run("its launchers keep nobody out, and let nobody in", func(t *testing.T) {
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), without.DeepCopy(), metav1.CreateOptions{})
		world.RequireDenied(t, err, policy.LauncherNotAllowed, "spec.launchers")
	})
}

func TestAnAuditIsToldInAnEventAMetricAndAuditAnnotations(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, asAudit(keepOnly, strings.Replace(keepEnforces, "hubEnv:", "constraints: {image: {allow: ['none/*']}}\n  hubEnv:", 1))...)
	require.NoError(t, w.Cluster.EnsureServiceAccount(t.Context(), ns, "enforced"))
	pod := spawned(t, parity.Case{User: "bob"})
	dry := pod.DeepCopy()
	dry.Name = "jupyter-dry"
	_, err := w.Hub.CoreV1().Pods(ns).Create(t.Context(), dry, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.NoError(t, err)
	before := metricOf(t, w.Replicas[0], `slipway_audit_reports_total\{outcome="denied",reason="ConstraintViolated",webhook="mutate"\}`)
	untouchedBefore := metricOf(t, w.Replicas[0], `slipway_admissions_total\{reason="",result="untouched",webhook="verify"\}`)
	w.Warnings.Reset()
	var events []corev1.Event
	var stored *corev1.Pod
	require.NoError(t, world.Eventually(t.Context(), func() error {
		// After a flood of denials an Event may be lost on purpose: the next is written again.
		stored, err = w.Hub.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
		require.NoError(t, err)
		w.Remove(t, stored)
		if events = denialEvents(t, w, ns, "jupyter-bob"); len(events) == 0 {
			return errors.New("no events")
		}
		return nil
	}))
	event := events[0]
	assert.Equal(t, "AuditDenied", event.Reason)
	assert.Equal(t, corev1.EventTypeWarning, event.Type)
	assert.Contains(t, event.Message, "would be denied: ClusterSpawnPolicy enforce-audit-"+ns)
	assert.Contains(t, event.Message, "would be added: ")
	assert.Empty(t, denialEvents(t, w, ns, "jupyter-dry"), "a dry run leaves none")

	assert.Contains(t, w.Warnings.String(), "audit: nothing of this is done while the policy says enforcement: Audit (ClusterSpawnPolicy enforce-audit-"+ns)
	assert.Contains(t, w.Warnings.String(), "audit: would be denied: Slipway ConstraintViolated: ")
	report := lastAudit(t, w)
	assert.Equal(t, "denied", report.outcome)
	assert.Contains(t, report.reasons, "ConstraintViolated spec.containers[notebook].image")
	assert.Contains(t, report.changes(), "spec.containers[notebook].resources.limits[memory]")
	assert.Greater(t, metricOf(t, w.Replicas[0], `slipway_audit_reports_total\{outcome="denied",reason="ConstraintViolated",webhook="mutate"\}`), before)
	assert.Greater(t, metricOf(t, w.Replicas[0], `slipway_admissions_total\{reason="",result="untouched",webhook="verify"\}`), untouchedBefore)
}

func TestUpdatesOfAPodThatIsOnlyAudited(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, asAudit(keepOnly)...)
	pod, err := w.Hub.CoreV1().Pods(ns).Create(t.Context(), spawned(t, parity.Case{}), metav1.CreateOptions{})
	require.NoError(t, err)
	defer w.Remove(t, pod)
	patch := func(text string) error {
		w.Warnings.Reset()
		_, err := w.Hub.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{})
		return err
	}
	require.NoError(t, patch(`{"spec":{"containers":[{"name":"notebook","image":"another"}]}}`))
	assert.Contains(t, w.Warnings.String(), "audit: would be denied: Slipway FieldChanged: spec.containers[notebook].image")
	require.NoError(t, patch(`{"metadata":{"labels":{"team":"red"}}}`))
	assert.NotContains(t, w.Warnings.String(), "audit")
	assert.Equal(t, []policy.Code{policy.FieldChanged}, world.AsDenied(t, patch(`{"metadata":{"annotations":{"hub.jupyter.org/username":"bob"}}}`)).Codes())

	w.Put(t, ns, keepOnly)
	world.RequireDenied(t, patch(`{"spec":{"containers":[{"name":"notebook","image":"a third"}]}}`), policy.FieldChanged, "spec.containers[notebook].image")
}
