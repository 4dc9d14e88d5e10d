package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// The gate asks both replicas in every test; this one asks them on purpose, many times, and looks at what it noted.
func TestTwoReplicasAnswerTheSameBytes(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	first, err := w.Gate.Ask(webhook.MutatePath, w.ReviewIn(ns))
	require.NoError(t, err)
	require.Contains(t, string(first), `"patch":"`)
	for range 50 {
		again, err := w.Gate.Ask(webhook.MutatePath, w.ReviewIn(ns))
		require.NoError(t, err)
		require.Equal(t, string(first), string(again))
	}
	denied, err := w.Gate.Ask(webhook.MutatePath, w.ReviewIn("default"))
	require.NoError(t, err)
	require.Contains(t, string(denied), "NoPolicy")
	asked, differed := w.Gate.Count()
	assert.Greater(t, asked, 50)
	assert.Empty(t, differed)
}

func TestAPolicyHoldsFromTheMomentItIsReadAndForNewPodsOnly(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	running, err := w.Launch(t, ns, nil)
	require.NoError(t, err)

	client := w.Policies("SpawnPolicy", ns)
	_, err = client.Patch(t.Context(), "course", types.MergePatchType, []byte(`{"spec":{"defaults":{"image":"quay.io/jupyter/other:2"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	w.Settle(t)

	stored, err := w.Hub.CoreV1().Pods(ns).Patch(t.Context(), running.Name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"example.org/note":"hi"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	assert.Equal(t, running.Spec, stored.Spec, "an update is no reason to fit anew")
	w.Remove(t, running)

	pod, err := w.Launch(t, ns, nil)
	require.NoError(t, err)
	assert.Equal(t, "quay.io/jupyter/other:2", pod.Spec.Containers[0].Image)
	assert.Contains(t, pod.Annotations[policy.AnnotationApplied], `"name":"course","generation":2`)
	w.Remove(t, pod)

	require.NoError(t, client.Delete(t.Context(), "course", metav1.DeleteOptions{}))
	require.NoError(t, w.Policies("ClusterSpawnPolicy", ns).Delete(t.Context(), ns, metav1.DeleteOptions{}))
	w.Settle(t)
	_, err = w.Launch(t, ns, nil)
	assert.Equal(t, []policy.Code{policy.NoPolicy}, world.AsDenied(t, err).Codes())
}

func TestADryRunIsFittedAndNotStored(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	pod, err := launcher.Launch(t.Context(), w.Hub, world.Alice, ns, launcher.Options{DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, "quay.io/jupyter/minimal-notebook:2026-01-05", pod.Spec.Containers[0].Image)
	pods, err := w.Hub.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, pods.Items)
}

func TestWhileTheWebhookIsDownSkeletonsWaitAndNobodyElseNotices(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	w.Gate.Closed.Store(true)
	defer w.Gate.Closed.Store(false)
	_, err := w.Launch(t, ns, nil)
	require.ErrorContains(t, err, `failed calling webhook "mutate.slipway.dev"`)
	_, err = w.Forger.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "plain"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "busybox"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
}

func TestTheLauncherSeesAServerAdmittedAndGoneAgain(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, course)
	var said []string
	_, err := launcher.Launch(t.Context(), w.Hub, world.Alice, ns, launcher.Options{
		Until: launcher.UntilRunning,
		Progress: func(p launcher.Progress) {
			said = append(said, p.Message)
			switch p.Message { // there is no node: we are scheduler and kubelet
			case "Admitted by policy":
				// The watch starts after this.
			case "Waiting for a node":
				binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: world.Alice.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "node-1"}}
				assert.NoError(t, w.Admin.CoreV1().Pods(ns).Bind(t.Context(), binding, metav1.CreateOptions{}))
			case "Starting on node node-1":
				pod := p.Pod.DeepCopy()
				pod.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "the node was low on memory"}
				_, err := w.Admin.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
				assert.NoError(t, err)
			}
		},
	})
	require.ErrorContains(t, err, "Evicted: the node was low on memory")
	assert.Equal(t, []string{"Asking for " + ns + "/jupyter-alice", "Admitted by policy", "Waiting for a node", "Starting on node node-1"}, said)

	_, err = launcher.Launch(t.Context(), w.Hub, world.Alice, ns, launcher.Options{})
	require.ErrorContains(t, err, "already exists")
}

func TestMetricsCountAnswersByReason(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	_, err := w.Launch(t, ns, nil)
	require.Error(t, err)
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", w.Replicas[0].Metrics))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Regexp(t, `slipway_admissions_total\{reason="NoPolicy",result="denied",webhook="mutate"\} [1-9]`, string(text))
	assert.Regexp(t, `slipway_admission_duration_seconds_count\{webhook="mutate"\} [1-9]`, string(text))
}

func TestWhatIsNoAdmissionReviewIsABadRequest(t *testing.T) {
	r := world.ForTest(t).Replicas[0]
	answer, err := r.Client.Post(r.URL("/mutate"), "application/json", strings.NewReader(`{"kind":"Pod"}`))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Contains(t, string(text), `Slipway BadRequest: the body is kind "Pod"`)
	assert.Equal(t, 1, answer.ProtoMajor, "HTTP/2 is off")
}

// A replica that may not read what it needs never gets ready, answers with an error and can still be stopped.
func TestAReplicaWithoutItsRightsIsNotReadyAndFailsClosed(t *testing.T) {
	w := world.ForTest(t)
	config, err := w.Account(t.Context(), world.OwnNamespace, "blind", []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"list", "watch"}},
	})
	require.NoError(t, err)
	r, err := world.StartReplica(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, r.Await(t.Context(), http.StatusInternalServerError))
	require.NoError(t, world.Eventually(t.Context(), func() error {
		body, err := r.Review(w.ReviewIn("default"))
		if err != nil {
			return err
		}
		if !strings.Contains(string(body), "Slipway NotReady: ") {
			return fmt.Errorf("answered %s", body)
		}
		return nil
	}))
	assert.Contains(t, readiness(t, r), "[-]policies failed")
	r.Stop()
	select {
	case err := <-r.Ended:
		assert.NoError(t, err)
	case <-time.After(world.Soon):
		t.Fatal("it did not stop")
	}
}

// withoutStreaming is an API server that doesn't begin a watch with what is there, so that informers have to list. By one
// that does, the right to list isn't used.
func withoutStreaming(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if !request.URL.Query().Has("sendInitialEvents") {
			return next.RoundTrip(request)
		}
		const invalid = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`
		return &http.Response{
			StatusCode: http.StatusUnprocessableEntity, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(invalid)), Request: request,
		}, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAReplicaThatIsToldToStopDrains(t *testing.T) {
	w := world.ForTest(t)
	config, err := w.Account(t.Context(), world.OwnNamespace, "drained", world.WebhookRights(t).Everywhere)
	require.NoError(t, err)
	r, err := world.StartReplica(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, r.Await(t.Context(), http.StatusOK))

	r.Stop()
	require.NoError(t, r.Await(t.Context(), http.StatusInternalServerError))
	assert.Contains(t, readiness(t, r), "[-]running failed")
	body, err := r.Review(w.ReviewIn("default"))
	require.NoError(t, err, "a Service may still send it requests")
	assert.Contains(t, string(body), "NoPolicy")

	select {
	case err := <-r.Ended:
		require.NoError(t, err)
	case <-time.After(world.Soon):
		t.Fatal("it did not end")
	}
	_, err = r.Review(w.ReviewIn("default"))
	assert.Error(t, err)
}

// readiness is what readyz says in full.
func readiness(t *testing.T, r *world.Replica) string {
	t.Helper()
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz?verbose", r.Health))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}
