package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with testdata/NAME, which -update writes.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "run with -update and read the difference")
}

func TestMutateFitsTheSkeletonOfARealAPIServer(t *testing.T) {
	req := request(t, nil)
	response := testMutator(t).Handle(t.Context(), req)
	require.True(t, response.Allowed, "%+v", response.Result)
	assert.Equal(t, admissionv1.PatchTypeJSONPatch, *response.PatchType)
	assert.Equal(t, "ClusterSpawnPolicy baseline, SpawnPolicy research/course", response.AuditAnnotations[auditPolicies])

	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, response.Patch, "", "  "))
	golden(t, "patch.json", append(pretty.Bytes(), '\n'))
}

func TestMutateAnswersTheSameBytesEveryTime(t *testing.T) {
	m := testMutator(t)
	first := m.Handle(t.Context(), request(t, nil))
	for range 20 {
		require.Equal(t, string(first.Patch), string(m.Handle(t.Context(), request(t, nil)).Patch))
	}
}

func TestMutatePatchAppliesWhateverThePodHas(t *testing.T) {
	for name, pod := range map[string]string{
		"labels and annotations":    `{"metadata":{"name":"a","labels":{"x":"y"},"annotations":{"x":"y"}},"spec":{"hostPID":true,"containers":[]}}`,
		"no labels or annotations":  `{"metadata":{"name":"a"},"spec":{"containers":[]}}`,
		"labels that say null":      `{"metadata":{"name":"a","labels":null,"annotations":null},"spec":null}`,
		"no spec":                   `{"metadata":{"name":"a"}}`,
		"members that nobody knows": `{"metadata":{"name":"a","new":1},"spec":{"new":{}},"new":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			fittedPod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"l": "1"}}}
			fittedPod.Spec.NodeSelector = map[string]string{"pool": "users"}
			response, err := fitted(&policy.Result{Pod: fittedPod})
			require.NoError(t, err)
			assert.NotContains(t, string(response.Patch), `ns","value":null`)
			assert.NotContains(t, string(response.Patch), `ls","value":null`)
			patch, err := jsonpatch.DecodePatch(response.Patch)
			require.NoError(t, err)
			got, err := patch.Apply([]byte(pod))
			require.NoError(t, err)
			result := &corev1.Pod{}
			require.NoError(t, json.Unmarshal(got, result))
			assert.Equal(t, fittedPod.Spec, result.Spec)
			assert.Equal(t, fittedPod.Labels, result.Labels)
			assert.Empty(t, result.Annotations)
			assert.Equal(t, "a", result.Name, "the rest stays")
		})
	}
}

func TestMutateLetsPassWhatIsntItsBusiness(t *testing.T) {
	for name, change := range map[string]func(*admission.Request){
		"a pod without the hub label": func(r *admission.Request) {
			r.Object.Raw = []byte(strings.ReplaceAll(string(r.Object.Raw), policy.LabelHub, "example.org/hub"))
		},
		"an update":     func(r *admission.Request) { r.Operation = admissionv1.Update },
		"a delete":      func(r *admission.Request) { r.Operation, r.Object.Raw = admissionv1.Delete, nil },
		"a connect":     func(r *admission.Request) { r.Operation, r.Object.Raw = admissionv1.Connect, nil },
		"a subresource": func(r *admission.Request) { r.SubResource = "binding" },
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, nil)
			change(&req)
			response := testMutator(t).Handle(t.Context(), req)
			assert.True(t, response.Allowed)
			assert.Empty(t, response.Patch)
			assert.Empty(t, response.Patches)
			assert.Equal(t, outcome{result: resultIgnored}, outcomeOf(&response))
		})
	}
}

func TestMutateDeniesWithAllReasonsCodesAndPaths(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		caller string
		causes []string // "code field"
		says   string
	}{
		"a finalizer":      {func(p *corev1.Pod) { p.Finalizers = []string{"example.org/keep"} }, "", []string{"SkeletonNotBare metadata.finalizers"}, "example.org/keep"},
		"a generated name": {func(p *corev1.Pod) { p.Name, p.GenerateName = "", "jupyter-" }, "", []string{"NameMismatch metadata.generateName"}, "generateName is not allowed"},
		"another name":     {func(p *corev1.Pod) { p.Name = "jupyter-bob" }, "", []string{"NameMismatch metadata.name"}, "jupyter-alice"},
		"another caller": {
			caller: "system:serviceaccount:jupyter:forger",
			causes: []string{"LauncherNotAllowed spec.launchers"}, says: "ClusterSpawnPolicy baseline",
		},
		"no user": {
			change: func(p *corev1.Pod) { p.Annotations = nil },
			causes: []string{"IdentityInvalid metadata.annotations[hub.jupyter.org/username]", "IdentityConflict metadata.labels[hub.jupyter.org/username]"},
			says:   "Slipway IdentityInvalid: ",
		},
		"several at once": {
			change: func(p *corev1.Pod) {
				p.GenerateName = "x"
				p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "reaper"}}
				p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0])
			},
			caller: "system:serviceaccount:jupyter:forger",
			causes: []string{
				"NameMismatch metadata.generateName", "SkeletonNotBare metadata.ownerReferences", "SkeletonNotBare spec.containers",
				"LauncherNotAllowed spec.launchers",
			},
			says: "Slipway NameMismatch: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, c.change)
			if c.caller != "" {
				req.UserInfo.Username = c.caller
			}
			response := testMutator(t).Handle(t.Context(), req)
			require.False(t, response.Allowed)
			assert.Empty(t, response.Patch)
			assert.Equal(t, int32(http.StatusForbidden), response.Result.Code)
			assert.Equal(t, metav1.StatusReasonForbidden, response.Result.Reason)
			var causes []string
			for _, cause := range response.Result.Details.Causes {
				causes = append(causes, string(cause.Type)+" "+cause.Field)
				assert.NotEmpty(t, cause.Message)
			}
			assert.Equal(t, c.causes, causes)
			code, _, _ := strings.Cut(c.causes[0], " ")
			assert.True(t, strings.HasPrefix(response.Result.Message, "Slipway "+code+": "), response.Result.Message)
			assert.Contains(t, response.Result.Message, c.says)
			assert.Equal(t, code, response.AuditAnnotations[auditReason])
			assert.Equal(t, outcome{resultDenied, code}, outcomeOf(&response))
		})
	}
}

func TestMutateAnswersConflictOnlyIfTryingAgainMayHelp(t *testing.T) {
	changed := policy.Denial{Code: policy.PolicyChanged, Message: "policy changed"}
	other := policy.Denial{Code: policy.NoPolicy, Message: "no policy"}
	for name, c := range map[string]struct {
		denials []policy.Denial
		reason  metav1.StatusReason
		code    int32
	}{
		"policy changed":                {[]policy.Denial{changed, changed}, metav1.StatusReasonConflict, http.StatusConflict},
		"policy changed, and a refusal": {[]policy.Denial{changed, other}, metav1.StatusReasonForbidden, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			m := testMutator(t)
			m.engine = engineFunc(func(policy.Input) (policy.Result, bool, error) { return policy.Result{Denials: c.denials}, true, nil })
			response := m.Handle(t.Context(), request(t, nil))
			assert.Equal(t, c.reason, response.Result.Reason)
			assert.Equal(t, c.code, response.Result.Code)
		})
	}
}

func TestMutateBoundsItsAnswer(t *testing.T) {
	m := testMutator(t)
	m.engine = engineFunc(func(policy.Input) (policy.Result, bool, error) {
		return policy.Result{Denials: make([]policy.Denial, 1000)}, true, nil
	})
	response := m.Handle(t.Context(), request(t, nil))
	assert.Len(t, response.Result.Details.Causes, maxDenials)
	assert.Contains(t, response.Result.Message, "and 980 more")
}

func TestMutateHandsOnWhatPolicyNeedsToKnow(t *testing.T) {
	var got policy.Input
	m := testMutator(t)
	m.engine = engineFunc(func(in policy.Input) (policy.Result, bool, error) {
		got = in
		return policy.Result{Pod: &corev1.Pod{}, Warnings: []string{"a list hides another"}}, true, nil
	})
	response := m.Handle(t.Context(), request(t, func(p *corev1.Pod) {
		p.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{"f:hostPID":{}}}`)
	}))
	require.True(t, response.Allowed)
	assert.Equal(t, []string{"a list hides another"}, response.Warnings)
	assert.Equal(t, "system:serviceaccount:jupyter:hub", got.Caller)
	assert.Equal(t, policy.Namespace{Name: "research", Labels: map[string]string{"tier": "research"}}, got.Namespace)
	assert.Equal(t, "alice", got.Identity.User)
	assert.Equal(t, []string{"spec.hostPID"}, got.Surplus)
	assert.Equal(t, "jupyter-alice", got.Sent.Name)
}

func TestMutateFailsClosed(t *testing.T) {
	const secret = "s3cr3t"
	for name, c := range map[string]struct {
		engine engineFunc
		change func(*admission.Request)
		code   int32
		says   string
		reason string
	}{
		"policies aren't read yet": {
			engine: func(policy.Input) (policy.Result, bool, error) { return policy.Result{}, false, nil },
			code:   http.StatusServiceUnavailable, says: "the policies aren't read yet; try again", reason: reasonNotReady,
		},
		"a namespace that isn't in the cache": {
			change: func(r *admission.Request) { r.Namespace = "brand-new" },
			code:   http.StatusServiceUnavailable, says: `namespace "brand-new" isn't known here yet`, reason: reasonNotReady,
		},
		"the engine fails": {
			engine: func(policy.Input) (policy.Result, bool, error) { return policy.Result{}, true, errors.New(secret) },
			code:   http.StatusInternalServerError, says: "the webhook's log says why, under uid 7f833006", reason: reasonInternal,
		},
		"the engine panics": {
			engine: func(policy.Input) (policy.Result, bool, error) { panic(secret) },
			code:   http.StatusInternalServerError, says: "the webhook's log says why, under uid 7f833006", reason: reasonInternal,
		},
		"not a pod": {
			change: func(r *admission.Request) { r.Resource.Resource = "secrets" },
			code:   http.StatusBadRequest, says: `for pods, not for "secrets"`, reason: reasonBadRequest,
		},
		"nobody's request": {nil, func(r *admission.Request) { r.UserInfo.Username = "" }, http.StatusBadRequest, "names no user", reasonBadRequest},
		"a pod that can't be read": {
			change: func(r *admission.Request) { r.Object.Raw = []byte(`{"metadata":{"labels":7}}`) },
			code:   http.StatusBadRequest, says: "can't be read as a pod", reason: reasonBadRequest,
		},
		"no pod at all": {
			change: func(r *admission.Request) { r.Object.Raw = nil },
			code:   http.StatusBadRequest, says: "can't be read as a pod", reason: reasonBadRequest,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := testMutator(t)
			if c.engine != nil {
				m.engine = c.engine
			}
			req := request(t, nil)
			if c.change != nil {
				c.change(&req)
			}
			response := decide(t, m, req)
			require.False(t, response.Allowed)
			assert.Empty(t, response.Patch)
			assert.Equal(t, c.code, response.Result.Code)
			assert.Contains(t, response.Result.Message, c.says)
			assert.NotContains(t, response.Result.Message, secret)
			assert.Equal(t, outcome{resultError, c.reason}, outcomeOf(&response))
			if c.reason == reasonNotReady {
				assert.Equal(t, int32(1), response.Result.Details.RetryAfterSeconds)
			}
		})
	}
}

func TestMutateLogsNoValues(t *testing.T) {
	const secret = "s3cr3t"
	var log strings.Builder
	m := testMutator(t)
	m.log = funcr.New(func(prefix, args string) { fmt.Fprintln(&log, prefix, args) }, funcr.Options{Verbosity: 10})
	logged := func(change func(*corev1.Pod)) {
		m.Handle(t.Context(), request(t, change))
	}
	logged(nil)
	logged(func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "JUPYTERHUB_API_TOKEN", Value: secret}}
		p.Annotations[policy.AnnotationOptions] = secret
		p.Finalizers = []string{secret}
	})
	m.engine = engineFunc(func(policy.Input) (policy.Result, bool, error) {
		return policy.Result{Denials: []policy.Denial{{Code: policy.PolicyInvalid, Field: "spec.defaults.environment", Message: secret}}}, true, nil
	})
	logged(nil)
	assert.Contains(t, log.String(), `"fitted"`)
	assert.Contains(t, log.String(), `"denied"`)
	assert.Contains(t, log.String(), "PolicyInvalid spec.defaults.environment")
	assert.NotContains(t, log.String(), secret)
}

// BenchmarkHandle is the whole way of a request inside a replica: from the AdmissionReview's JSON to the answer's.
func BenchmarkHandle(b *testing.B) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   outcome
	}{
		"fit":    {nil, outcome{result: resultFitted}},
		"deny":   {func(p *corev1.Pod) { p.Name = "jupyter-bob" }, outcome{resultDenied, string(policy.NameMismatch)}},
		"ignore": {func(p *corev1.Pod) { delete(p.Labels, policy.LabelHub) }, outcome{result: resultIgnored}},
	} {
		b.Run(name, func(b *testing.B) { benchmarkEndpoint(b, testMutator(b), c.change, c.want) })
	}
	b.Run("verify", func(b *testing.B) {
		benchmarkEndpoint(b, &verifier{testDecider(b)}, final(b), outcome{result: resultVerified})
	})
}
