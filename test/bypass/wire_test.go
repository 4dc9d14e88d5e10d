package bypass

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
	"github.com/slipway-hub/slipway/webhook"
)

// post sends a body to a webhook of the first replica, as anybody could who reaches it.
func post(t *testing.T, w *world.World, path, contentType string, body []byte) (int, string) {
	t.Helper()
	answer, err := w.Replicas[0].Client.Post(w.Replicas[0].URL(path), contentType, bytes.NewReader(body))
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

// reviewOf puts an object into the review of Alice's skeleton.
func reviewOf(t *testing.T, w *world.World, ns, object string) []byte {
	t.Helper()
	review := map[string]any{}
	require.NoError(t, json.Unmarshal(w.ReviewIn(ns), &review))
	request, _ := review["request"].(map[string]any)
	request["object"] = json.RawMessage(object)
	body, err := json.Marshal(review)
	if err != nil { // the object isn't JSON: that is the trick
		body = bytes.Replace(w.ReviewIn(ns), []byte(`"object":{`), []byte(`"object":`+object+`,"x":{`), 1)
	}
	return body
}

// skeletonJSON is Alice's skeleton with something put into its metadata or spec.
func skeletonJSON(ns, meta, spec string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"jupyter-alice","namespace":"` + ns + `","labels":{"slipway.dev/hub":"main"},
"annotations":{"hub.jupyter.org/username":"alice"}` + meta + `},"spec":{"containers":[{"name":"notebook"}]` + spec + `}}`
}

// passes says whether an answer lets the pod in, with the image of the attacker.
func passes(status int, text string) bool {
	return status == http.StatusOK && strings.Contains(text, `"allowed":true`) && !strings.Contains(text, `"patch":"`)
}

var jsonTricks = []attempt{
	{"bodies that are no review", func(t *testing.T, w *world.World) {
		good := w.ReviewIn("default")
		for name, c := range map[string]struct {
			contentType string
			body        []byte
			status      int
		}{
			"another content type": {"text/plain", good, http.StatusBadRequest},
			"no content type":      {"", good, http.StatusBadRequest},
			"protobuf":             {"application/vnd.kubernetes.protobuf", good, http.StatusBadRequest},
			"truncated":            {"application/json", good[:len(good)-20], http.StatusBadRequest},
			"another version":      {"application/json", bytes.Replace(good, []byte("admission.k8s.io/v1"), []byte("admission.k8s.io/v1beta1"), 1), http.StatusBadRequest},
			"another kind":         {"application/json", bytes.Replace(good, []byte(`"kind":"AdmissionReview"`), []byte(`"kind":"Pod"`), 1), http.StatusBadRequest},
			"huge":                 {"application/json", bytes.Repeat([]byte(" "), 6<<20), http.StatusRequestEntityTooLarge},
			"deep":                 {"application/json", []byte(strings.Repeat("[", 100000)), http.StatusBadRequest},
		} {
			for _, path := range []string{webhook.MutatePath, webhook.VerifyPath} {
				status, text := post(t, w, path, c.contentType, c.body)
				assert.Equal(t, c.status, status, "%s at %s: %s", name, path, text)
			}
		}
	}},
	{"objects that read in two ways", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		for name, object := range map[string]string{
			"a key twice":            skeletonJSON(ns, "", `,"hostNetwork":false,"hostNetwork":true`),
			"a key in another case":  strings.Replace(skeletonJSON(ns, "", ""), `"labels"`, `"Labels"`, 1),
			"a number beyond":        skeletonJSON(ns, "", `,"priority":9007199254740993`),
			"deep":                   skeletonJSON(ns, "", `,"x":`+strings.Repeat(`{"a":`, 20000)+`1`+strings.Repeat(`}`, 20000)),
			"no object":              `null`,
			"a list":                 `[]`,
			"labels that are a list": strings.Replace(skeletonJSON(ns, "", ""), `{"slipway.dev/hub":"main"}`, `["slipway.dev/hub"]`, 1),
		} {
			status, text := post(t, w, webhook.VerifyPath, "application/json", reviewOf(t, w, ns, object))
			assert.False(t, passes(status, text), "%s: %s", name, text)
		}
	}},
	{"what the API server is sent twice, or in another case", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		for name, object := range map[string]string{
			"a label twice":  strings.Replace(skeletonJSON(ns, "", ""), `"labels":{`, `"labels":{"slipway.dev/hub":"x",`, 1),
			"metadata twice": strings.Replace(skeletonJSON(ns, "", ""), `"spec":`, `"Metadata":{"labels":{}},"spec":`, 1),
			"an image twice": strings.Replace(skeletonJSON(ns, "", ""), `{"name":"notebook"}`, `{"name":"notebook","image":"evil","image":""}`, 1),
		} {
			err := w.Hub.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Body([]byte(object)).SetHeader("Content-Type", "application/json").Do(t.Context()).Error()
			if err != nil {
				continue
			}
			pod, err := w.Hub.CoreV1().Pods(ns).Get(t.Context(), "jupyter-alice", metav1.GetOptions{})
			require.NoError(t, err)
			assert.Equal(t, "quay.io/jupyter/minimal-notebook:2026-01-05", notebook(pod).Image, name)
			assert.Equal(t, "main", pod.Labels[policy.LabelHub], name)
			w.Remove(t, pod)
		}
	}},
	{"keys that would enter a patch's path", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: strip}\nspec: {skeleton: Strip, metadata: {allow: [\"*\"]}}\n")
		pod, err := w.Launch(t, ns, func(p *corev1.Pod) {
			p.Annotations["a.b~1c/spec"] = "x"
			p.Labels["x.y/z"] = "~0"
		})
		if err == nil {
			assert.Equal(t, "quay.io/jupyter/minimal-notebook:2026-01-05", notebook(pod).Image)
		}
		_, err = w.Launch(t, ns, func(p *corev1.Pod) { p.Name = "other"; p.Annotations["~1spec"] = "x" })
		require.Error(t, err)
	}},
}

var directCall = []attempt{
	{"a review by anybody stores nothing", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		for _, path := range []string{webhook.MutatePath, webhook.VerifyPath} {
			status, _ := post(t, w, path, "application/json", w.ReviewIn(ns))
			assert.Equal(t, http.StatusOK, status)
		}
		pods, err := w.Admin.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		assert.Empty(t, pods.Items)
	}},
	{"the answer tells no secret", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		_, err := w.Admin.CoreV1().Secrets(ns).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "jupyter-alice-env-00000000"}, StringData: map[string]string{"JUPYTERHUB_API_TOKEN": "t0ken"}}, metav1.CreateOptions{})
		require.NoError(t, err)
		review := bytes.Replace(w.ReviewIn(ns), []byte(`"annotations":{"hub.jupyter.org/username":"alice"`),
			[]byte(`"annotations":{"hub.jupyter.org/username":"alice","slipway.dev/env-secret":"jupyter-alice-env-00000000","slipway.dev/env-keys":"[\"JUPYTERHUB_API_TOKEN\"]"`), 1)
		status, text := post(t, w, webhook.MutatePath, "application/json", review)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, text, `"allowed":true`)
		answer := admissionv1.AdmissionReview{}
		require.NoError(t, json.Unmarshal([]byte(text), &answer))
		assert.Contains(t, string(answer.Response.Patch), "secretKeyRef")
		assert.NotContains(t, string(answer.Response.Patch), "t0ken")
	}},
	{"other methods and paths", func(t *testing.T, w *world.World) {
		r := w.Replicas[0]
		for path, want := range map[string]int{webhook.MutatePath: http.StatusMethodNotAllowed, webhook.VerifyPath: http.StatusMethodNotAllowed, "/": http.StatusNotFound, "/debug/pprof/": http.StatusNotFound, "/metrics": http.StatusNotFound} {
			answer, err := r.Client.Get(r.URL(path))
			require.NoError(t, err)
			answer.Body.Close()
			assert.Equal(t, want, answer.StatusCode, path)
		}
	}},
}

// fittedReview is the review for /verify of Alice's pod as the first replica fits it now.
func fittedReview(t *testing.T, w *world.World, ns string) []byte {
	t.Helper()
	review := admissionv1.AdmissionReview{}
	require.NoError(t, json.Unmarshal(w.ReviewIn(ns), &review))
	answer := w.Replicas[0].Judge(t, w.ReviewIn(ns))
	require.True(t, answer.Allowed, "%+v", answer.Result)
	patch, err := jsonpatch.DecodePatch(answer.Patch)
	require.NoError(t, err)
	review.Request.Object.Raw, err = patch.Apply(review.Request.Object.Raw)
	require.NoError(t, err)
	body, err := json.Marshal(review)
	require.NoError(t, err)
	return body
}

// verdict is what a replica says of a review for /verify.
func verdict(t *testing.T, r *world.Replica, review []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	body, err := r.ReviewAt(webhook.VerifyPath, review)
	require.NoError(t, err)
	answer := admissionv1.AdmissionReview{}
	require.NoError(t, json.Unmarshal(body, &answer))
	return answer.Response
}

var staleCache = []attempt{
	{"a pod of an older generation is good for five seconds and no longer", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		review := fittedReview(t, w, ns)
		for _, r := range w.Replicas {
			require.True(t, verdict(t, r, review).Allowed)
		}
		_, err := w.Policies("SpawnPolicy", ns).Patch(t.Context(), "course", types.MergePatchType, []byte(`{"spec":{"defaults":{"uid":1001}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
		w.Settle(t)
		for _, r := range w.Replicas {
			require.NoError(t, world.Eventually(t.Context(), func() error {
				answer := verdict(t, r, review)
				if answer.Allowed {
					return fmt.Errorf("still good")
				}
				if !strings.Contains(answer.Result.Message, string(policy.PolicyChanged)) || answer.Result.Code != http.StatusConflict {
					return fmt.Errorf("refused otherwise: %+v", answer.Result)
				}
				return nil
			}))
		}
		require.True(t, verdict(t, w.Replicas[0], fittedReview(t, w, ns)).Allowed, "the new one is good")
	}},
	{"a generation that this replica doesn't know yet", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		review := bytes.ReplaceAll(fittedReview(t, w, ns), []byte(`\"generation\":1`), []byte(`\"generation\":2`))
		answer := verdict(t, w.Replicas[1], review)
		require.False(t, answer.Allowed)
		assert.Equal(t, metav1.StatusReasonConflict, answer.Result.Reason, "to be retried")
	}},
	{"policy tightened, and a pod at once after every replica has read it", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		for i := range 5 {
			_, err := w.Policies("SpawnPolicy", ns).Patch(t.Context(), "course", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"defaults":{"uid":%d}}}`, 2000+i), metav1.PatchOptions{})
			require.NoError(t, err)
			w.Settle(t)
			pod := running(t, w, ns)
			assert.Equal(t, int64(2000+i), *notebook(pod).SecurityContext.RunAsUser)
			w.Remove(t, pod)
		}
	}},
	{"policy deleted", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		require.NoError(t, w.Policies("ClusterSpawnPolicy", ns).Delete(t.Context(), ns, metav1.DeleteOptions{}))
		w.Settle(t)
		_, err := w.Launch(t, ns, nil)
		denied(t, err, policy.LauncherNotAllowed)
	}},
	{"a replica that could not read its policies", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		config, err := w.Account(t.Context(), world.OwnNamespace, "unsynced-"+ns, []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"list", "watch"}},
		})
		require.NoError(t, err)
		r, err := world.StartReplica(t.Context(), config)
		require.NoError(t, err)
		defer ended(t, r)
		require.NoError(t, r.Await(t.Context(), http.StatusInternalServerError))
		review := fittedReview(t, w, ns)
		require.NoError(t, world.Eventually(t.Context(), func() error {
			body, err := r.ReviewAt(webhook.VerifyPath, review)
			if err == nil && !strings.Contains(string(body), "Slipway NotReady") {
				err = fmt.Errorf("answered %s", body)
			}
			return err
		}))
	}},
}

// restored has a test change a webhook configuration, and puts it back.
func restored(t *testing.T, w *world.World, change func(*admissionregistrationv1.MutatingWebhookConfiguration) bool) {
	t.Helper()
	api := w.Admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	before, err := api.Get(t.Context(), webhook.ConfigurationName, metav1.GetOptions{})
	require.NoError(t, err)
	after := before.DeepCopy()
	if change(after) {
		require.NoError(t, api.Delete(t.Context(), before.Name, metav1.DeleteOptions{}))
	} else {
		_, err = api.Update(t.Context(), after, metav1.UpdateOptions{})
		require.NoError(t, err)
	}
	t.Cleanup(func() { w.Reinstall(t, before) })
}

// refusedWhile wants a hub's pod with an image to be refused as soon as the API server has seen the change.
func refusedWhile(t *testing.T, w *world.World, ns string) {
	t.Helper()
	pod := plain("jupyter-alice")
	pod.Labels, pod.Annotations = map[string]string{policy.LabelHub: "main"}, map[string]string{policy.AnnotationUsername: "alice"}
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := w.Forger.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "slipway-mutating-configuration") {
			return fmt.Errorf("not refused for the configuration: %w", err)
		}
		return nil
	}))
}

var configurationRemoved = []attempt{
	{"the configuration deleted", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		restored(t, w, func(*admissionregistrationv1.MutatingWebhookConfiguration) bool { return true })
		refusedWhile(t, w, ns)
		_, err := w.Launch(t, ns, nil)
		require.Error(t, err, "and a skeleton, by the API server itself")
	}},
	{"weakened to Ignore", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		restored(t, w, func(c *admissionregistrationv1.MutatingWebhookConfiguration) bool {
			c.Webhooks[0].FailurePolicy = new(admissionregistrationv1.Ignore)
			return false
		})
		w.Gate.Closed.Store(true)
		defer w.Gate.Closed.Store(false)
		refusedWhile(t, w, ns)
	}},
	{"its CA emptied, or every replica down", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		governed(t, w, ns)
		w.Gate.Closed.Store(true)
		defer w.Gate.Closed.Store(false)
		_, err := w.Launch(t, ns, nil)
		require.ErrorContains(t, err, "failed calling webhook")
		_, err = w.Forger.CoreV1().Pods(ns).Create(t.Context(), plain("a"), metav1.CreateOptions{})
		denied(t, err, policy.NotGoverned)
	}},
}

var outboundCalls = []attempt{
	{"requests open no connection, to the API server or anybody", func(t *testing.T, w *world.World) {
		ns := place(t, w, `
kind: SpawnPolicy
metadata: {name: urls}
spec: {defaults: {image: "registry.invalid/a@sha256:0000000000000000000000000000000000000000000000000000000000000000", volumes: {nfs: {nfs: {server: nfs.invalid, path: /}}}, environment: {URL: "http://example.invalid/"}}}
`)
		config, err := w.Account(t.Context(), world.OwnNamespace, "counted-"+ns, world.WebhookRights(t).Everywhere)
		require.NoError(t, err)
		var calls atomic.Int32
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				if !strings.Contains(r.URL.Path, "/leases") {
					calls.Add(1)
				}
				return next.RoundTrip(r)
			})
		})
		r, err := world.StartReplica(t.Context(), config)
		require.NoError(t, err)
		defer ended(t, r)
		require.NoError(t, r.Await(t.Context(), http.StatusOK))
		require.NoError(t, world.Eventually(t.Context(), func() error {
			if answer := r.Judge(t, w.ReviewIn(ns)); !answer.Allowed {
				return fmt.Errorf("%+v", answer.Result)
			}
			return nil
		}))
		before := calls.Load()
		review := fittedReview(t, w, ns)
		for range 50 {
			require.True(t, r.Judge(t, w.ReviewIn(ns)).Allowed)
			require.True(t, verdict(t, r, review).Allowed)
		}
		assert.Equal(t, before, calls.Load())
	}},
	{"a pull secret or registry that policy names isn't looked up", func(t *testing.T, w *world.World) {
		ns := place(t, w, "\nkind: SpawnPolicy\nmetadata: {name: pull}\nspec: {defaults: {imagePullSecrets: [nowhere], image: registry.invalid/x}}\n")
		pod := running(t, w, ns)
		assert.Equal(t, "registry.invalid/x", notebook(pod).Image)
	}},
}

// ended stops a replica and waits for its clean end.
func ended(t *testing.T, r *world.Replica) {
	t.Helper()
	r.Stop()
	require.NoError(t, <-r.Ended)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var logAndMetrics = []attempt{
	{"a name that would forge log lines, and values that must not stand there", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		config, err := w.Account(t.Context(), world.OwnNamespace, "logging-"+ns, world.WebhookRights(t).Everywhere)
		require.NoError(t, err)
		log := &lines{}
		r, err := world.StartReplica(t.Context(), config, func(o *webhook.Options) {
			o.Log = logr.FromSlogHandler(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		require.NoError(t, err)
		defer ended(t, r)
		require.NoError(t, r.Await(t.Context(), http.StatusOK))
		const evil = "eve\n{\"level\":\"INFO\",\"msg\":\"forged\"}\x1b[31m"
		name, err := json.Marshal(evil)
		require.NoError(t, err)
		review := bytes.ReplaceAll(w.ReviewIn(ns), []byte(`"hub.jupyter.org/username":"alice"`), append([]byte(`"hub.jupyter.org/username":`), name...))
		review = bytes.Replace(review, []byte(`"containers":[{`), []byte(`"containers":[{"env":[{"name":"JUPYTERHUB_API_TOKEN","value":"t0ken"}],`), 1)
		for range 3 {
			r.Judge(t, review)
			verdict(t, r, review)
		}
		require.Contains(t, log.String(), "denied")
		for line := range strings.Lines(log.String()) {
			assert.True(t, json.Valid([]byte(line)), line)
			assert.NotContains(t, line, "\x1b")
		}
		assert.NotContains(t, log.String(), `"msg":"forged"`)
		assert.NotContains(t, log.String(), "t0ken")
	}},
	{"metrics don't grow with users, namespaces and policies", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		series := func() []string {
			answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", w.Replicas[0].Metrics))
			require.NoError(t, err)
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			var found []string
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "slipway_admission") {
					found = append(found, line[:strings.LastIndexByte(line, ' ')])
				}
			}
			return found
		}
		_, _ = launch(t, w, ns, as("user", ""), nil)
		before := series()
		for i := range 30 {
			_, err := launch(t, w, ns, as(fmt.Sprintf("user-%d", i), ""), nil)
			require.NoError(t, err)
		}
		after := series()
		assert.Len(t, after, len(before))
		assert.False(t, slices.ContainsFunc(after, func(s string) bool { return strings.Contains(s, "user-") || strings.Contains(s, ns) }))
	}},
}

// secretNames are what a launcher may not create; the rule lets it create one kind of Secret alone.
var secretVerbs = []attempt{
	{"Secrets that aren't the environment of a pod", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		pod := running(t, w, ns)
		require.NoError(t, w.Grant(t.Context(), "test-secrets-"+ns, world.HubNamespace, world.HubAccount, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}}}))
		good := func() *corev1.Secret {
			return &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: pod.Name + "-env-00000000", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}}},
				Type:       "slipway.dev/env", Immutable: new(true), StringData: map[string]string{"JUPYTERHUB_USER": "alice"},
			}
		}
		for name, change := range map[string]func(*corev1.Secret){
			"a token of an account": func(s *corev1.Secret) {
				s.Type, s.Annotations = corev1.SecretTypeServiceAccountToken, map[string]string{corev1.ServiceAccountNameKey: "default"}
			},
			"no owner":         func(s *corev1.Secret) { s.OwnerReferences = nil },
			"another's name":   func(s *corev1.Secret) { s.Name = "jupyter-bob-env-00000000" },
			"any name":         func(s *corev1.Secret) { s.Name = "registry" },
			"another kind":     func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque },
			"one that changes": func(s *corev1.Secret) { s.Immutable = nil },
		} {
			s := good()
			change(s)
			_, err := w.Hub.CoreV1().Secrets(ns).Create(t.Context(), s, metav1.CreateOptions{})
			require.Error(t, err, name)
			denied(t, err)
		}
		_, err := w.Hub.CoreV1().Secrets(ns).Create(t.Context(), good(), metav1.CreateOptions{})
		require.NoError(t, err)
	}},
	{"reading by patch", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		_, err := w.Admin.CoreV1().Secrets(ns).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}, StringData: map[string]string{"a": "b"}}, metav1.CreateOptions{})
		require.NoError(t, err)
		_, err = w.Hub.CoreV1().Secrets(ns).Patch(t.Context(), "theirs", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
		require.True(t, apierrors.IsForbidden(err), "the launcher has no such right: %v", err)
		_, err = w.Hub.CoreV1().Secrets(ns).Get(t.Context(), "theirs", metav1.GetOptions{})
		require.True(t, apierrors.IsForbidden(err))
	}},
	{"reading by patch, by a launcher that was given the right", func(t *testing.T, w *world.World) {
		ns := place(t, w)
		require.NoError(t, w.Grant(t.Context(), "test-patch-"+ns, world.HubNamespace, world.HubAccount, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"patch"}}}))
		t.Cleanup(func() {
			_ = w.Admin.RbacV1().ClusterRoles().Delete(t.Context(), "test-patch-"+ns, metav1.DeleteOptions{})
		})
		// One that a launcher could have created, so that it is refused for the patch and nothing else.
		theirs := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "jupyter-bob-env-00000000", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "jupyter-bob", UID: "1"}}},
			Type:       "slipway.dev/env", Immutable: new(true), StringData: map[string]string{"a": "b"},
		}
		_, err := w.Admin.CoreV1().Secrets(ns).Create(t.Context(), theirs, metav1.CreateOptions{})
		require.NoError(t, err)
		got, err := w.Hub.CoreV1().Secrets(ns).Patch(t.Context(), theirs.Name, types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
		denied(t, err, policy.LauncherNotAllowed)
		assert.Empty(t, got.Data)
	}},
}
