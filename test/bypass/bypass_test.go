// Package bypass tries the known ways around a policy on a real API server, by the tokens of those who would try them. Each
// class belongs to a published vulnerability or a bug of an admission system of this kind.
package bypass

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// class is one way around, with its variants.
type class struct {
	number   int
	name     string
	attempts []attempt
}

// attempt is one variant. try makes it, and fails the test where it gets anything.
type attempt struct {
	name string
	try  func(t *testing.T, w *world.World)
}

// classes are all of them, in the order of their numbers.
func classes() []class {
	return []class{
		{1, "no label at create", noLabel}, {2, "marks changed on update", marksChanged}, {3, "namespace games", namespaceGames},
		{4, "identity collision", identityCollision}, {5, "forged identity", forgedIdentity}, {6, "containers that rules forget", forgottenContainers},
		{7, "subresources", subresources}, {8, "name games", nameGames}, {9, "deletion games", deletionGames}, {10, "volumes", volumes},
		{11, "privilege fields", privilegeFields}, {12, "laxest exception wins", laxest}, {13, "confused deputy", confusedDeputy},
		{14, "environment", environment}, {15, "options", options}, {16, "template and CEL abuse", templates}, {17, "JSON tricks", jsonTricks},
		{18, "direct call", directCall}, {19, "stale or unsynced cache", staleCache}, {20, "later mutation", laterMutation},
		{21, "configuration removed", configurationRemoved}, {22, "outbound calls", outboundCalls}, {23, "log and metric abuse", logAndMetrics},
		{24, "secret verbs", secretVerbs}, {25, "metadata", metadata}, {26, "settings against enforcement", againstEnforcement}, {27, "two hubs", twoHubs},
	}
}

// table is what the run prints when it is over.
var table []string

func TestBypass(t *testing.T) {
	w := world.ForTest(t)
	numbers := 0
	for _, c := range classes() {
		closed := 0
		t.Run(fmt.Sprintf("%02d %s", c.number, c.name), func(t *testing.T) {
			require.GreaterOrEqual(t, len(c.attempts), 2, "two variants or more a class")
			for _, a := range c.attempts {
				if t.Run(a.name, func(t *testing.T) { a.try(t, w) }) {
					closed++
				}
			}
		})
		table = append(table, fmt.Sprintf("bypass: %2d %-32s %2d of %2d closed", c.number, c.name, closed, len(c.attempts)))
		numbers += len(c.attempts)
	}
	require.Len(t, table, 27)
	table = append(table, fmt.Sprintf("bypass: %d variants of %d classes", numbers, len(table)))
}

func TestTheThreatModelNamesEveryClass(t *testing.T) {
	text, err := os.ReadFile("../../docs/threat-model.md")
	require.NoError(t, err)
	for _, c := range classes() {
		require.Contains(t, string(text), fmt.Sprintf("\n| %02d %s | ", c.number, c.name))
	}
}

func TestMain(m *testing.M) {
	m.Run() // its code is the process's
	for _, line := range table {
		fmt.Fprintln(os.Stdout, line)
	}
}

// course is what most attempts are made against.
const course = `
kind: SpawnPolicy
metadata: {name: course}
spec:
  hubEnv: ["JUPYTERHUB_*"]
  defaults:
    image: quay.io/jupyter/minimal-notebook:2026-01-05
    cmd: [jupyterhub-singleuser]
    memLimit: 1Gi
    uid: 1000
    extraLabels: {course: data101}
    extraAnnotations: {owner: platform}
    environment: {COURSE: data101}
`

// enforcing is what the platform team holds on to.
const enforcing = `
kind: ClusterSpawnPolicy
metadata: {name: NAMESPACE-enforcing}
spec:
  namespaceSelector: {matchLabels: {test: NAMESPACE}}
  enforced: {allowPrivilegeEscalation: false, privileged: false, nodeSelector: {pool: users}}
  constraints: {memLimit: {max: 2Gi}, image: {allow: ["quay.io/*"]}}
`

// place gives a namespace with policies. Nobody judges them: what pods get must not depend on who wrote what when.
func place(t *testing.T, w *world.World, more ...string) string {
	t.Helper()
	ns := w.Namespace(t)
	w.PutUnjudged(t, ns, append([]string{world.HubLaunches, course}, more...)...)
	return ns
}

// running gives a server that runs: as far as a cluster without a node can tell.
func running(t *testing.T, w *world.World, ns string) *corev1.Pod {
	t.Helper()
	pod, err := w.Launch(t, ns, nil)
	require.NoError(t, err)
	return pod
}

// as launches for somebody.
func as(user, server string) policy.Identity {
	return policy.Identity{Name: "jupyter-" + policy.SafeUserServer(user, server), Hub: "main", User: user, Server: server}
}

// launch creates a skeleton of an identity, after a change if there is one, by the hub.
func launch(t *testing.T, w *world.World, ns string, id policy.Identity, change func(*corev1.Pod)) (*corev1.Pod, error) {
	t.Helper()
	pod := launcher.Skeleton(id, ns)
	if change != nil {
		change(pod)
	}
	return w.Hub.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
}

// denied wants any denial of ours, by one of these codes where some are given.
func denied(t *testing.T, err error, codes ...policy.Code) {
	t.Helper()
	have := world.AsDenied(t, err).Codes()
	if len(codes) > 0 {
		require.Subset(t, codes, have[:1])
	}
}

// plain is a pod like any other.
func plain(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "notebook", Image: "evil"}}},
	}
}

func notebook(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == policy.NotebookContainer {
			return &pod.Spec.Containers[i]
		}
	}
	return nil
}
