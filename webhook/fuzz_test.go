package webhook

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy"
)

// fuzzedServer serves both webhooks over HTTPS, as the webhook's own server does, and hears of every error that they log: a panic
// is answered in good form, so the answer alone doesn't tell it from a decision.
type fuzzedServer struct {
	*httptest.Server
	failure atomic.Pointer[string]
}

func serveFuzzed(f *testing.F, of decider) *fuzzedServer {
	f.Helper()
	s := &fuzzedServer{}
	of.log = logr.New(failures{funcr.New(func(string, string) {}, funcr.Options{}).GetSink(), s})
	mux, limit := http.NewServeMux(), newInFlight()
	mux.Handle(MutatePath, &endpoint{webhook: "fuzz", handler: &mutator{of}, inFlight: limit, log: of.log})
	mux.Handle(VerifyPath, &endpoint{webhook: "fuzz", handler: &verifier{of}, inFlight: limit, log: of.log})
	s.Server = httptest.NewTLSServer(mux)
	f.Cleanup(s.Close)
	return s
}

// failures is a log of which the errors alone are kept.
type failures struct {
	logr.LogSink
	of *fuzzedServer
}

func (l failures) WithName(string) logr.LogSink   { return l }
func (l failures) WithValues(...any) logr.LogSink { return l }
func (l failures) Error(err error, message string, values ...any) {
	text := funcr.NewJSON(func(line string) { message = line }, funcr.Options{})
	text.Error(err, message, values...)
	l.of.failure.Store(&message)
}

// send posts a body, and gives the answer: nil where the body was refused as no AdmissionReview. Whatever the body is, it is one of
// these two, and no failure of ours.
func (s *fuzzedServer) send(t *testing.T, path string, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	response, err := s.Client().Post(s.URL+path+"?timeout=5s", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, errorsOf(err, response.Body.Close()))
	if failed := s.failure.Swap(nil); failed != nil {
		t.Fatalf("%s failed, with %d: %s", path, response.StatusCode, *failed)
	}
	if response.StatusCode != http.StatusOK {
		require.GreaterOrEqual(t, response.StatusCode, http.StatusBadRequest)
		require.Less(t, response.StatusCode, http.StatusInternalServerError, "%s", answer)
		require.True(t, strings.HasPrefix(string(answer), "Slipway BadRequest: "), "%s", answer)
		return nil
	}
	require.Equal(t, "application/json", response.Header.Get("Content-Type"))
	review, asked := admissionv1.AdmissionReview{}, admissionv1.AdmissionReview{}
	strict, err := sigsjson.UnmarshalStrict(answer, &review)
	require.NoError(t, errorsOf(append(strict, err)...), "%s", answer)
	require.NoError(t, sigsjson.UnmarshalCaseSensitivePreserveInts(body, &asked))
	require.Equal(t, admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"), review.GroupVersionKind())
	require.NotNil(t, review.Response)
	require.Equal(t, asked.Request.UID, review.Response.UID)
	requireDecision(t, review.Response)
	return review.Response
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// requireDecision: an answer lets the pod pass, or says why not, and how the caller goes on.
func requireDecision(t *testing.T, r *admissionv1.AdmissionResponse) {
	t.Helper()
	require.Equal(t, r.Patch != nil, r.PatchType != nil)
	require.LessOrEqual(t, len(r.Warnings), 16)
	for _, w := range r.Warnings {
		require.LessOrEqual(t, len(w), 256)
	}
	if r.Allowed {
		return
	}
	require.Nil(t, r.Patch)
	require.NotNil(t, r.Result)
	require.True(t, strings.HasPrefix(r.Result.Message, "Slipway "), r.Result.Message)
	switch r.Result.Code {
	case http.StatusForbidden, http.StatusConflict:
		require.NotEmpty(t, r.Result.Details.Causes)
		require.Equal(t, string(r.Result.Details.Causes[0].Type), r.AuditAnnotations[auditReason])
	case http.StatusBadRequest, statusNotReady:
	default:
		t.Fatalf("code %d: %s", r.Result.Code, r.Result.Message)
	}
}

// requirePatched applies the patch by a library that isn't ours, and gives the pod that comes out.
func requirePatched(t *testing.T, object, patch []byte) []byte {
	t.Helper()
	decoded, err := jsonpatch.DecodePatch(patch)
	require.NoError(t, err, "%s", patch)
	out, err := decoded.Apply(object)
	require.NoError(t, err, "%s", patch)
	strict, err := sigsjson.UnmarshalStrict(out, &corev1.Pod{})
	require.NoError(t, err, "%s", out)
	_ = strict // an unknown field is the caller's, and stays
	return out
}

// FuzzAdmissionBodies sends whatever a caller may send to both webhooks.
func FuzzAdmissionBodies(f *testing.F) {
	s := serveFuzzed(f, testDecider(f))
	f.Add(readReviewFile(f))
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = s.send(t, VerifyPath, body)
		response := s.send(t, MutatePath, body)
		if response == nil || response.Patch == nil {
			return
		}
		review := admissionv1.AdmissionReview{}
		require.NoError(t, sigsjson.UnmarshalCaseSensitivePreserveInts(body, &review))
		requirePatched(t, review.Request.Object.Raw, response.Patch)
	})
}

// fuzzedPolicies are those of testdata/policies.yaml, or of a hub whose pods are kept.
func fuzzedPolicies(f *testing.F, name string) decider {
	f.Helper()
	data, err := os.ReadFile("testdata/" + name)
	require.NoError(f, err)
	decoded, err := policy.Decode(name, data)
	require.NoError(f, err)
	d := testDecider(f)
	own := testPolicies(f)
	own.current.Store(&policySet{compiled: policy.Compile(decoded)})
	require.Empty(f, own.current.Load().compiled.Errors())
	d.engine = own
	return d
}

// fuzzedOperations are what a pod may be asked about, by number.
var fuzzedOperations = []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect, "PATCH"}

// FuzzAdmittedPods has both webhooks asked about pods that an API server could have stored. What /mutate makes of a pod, its patch
// gives by another library too, and /verify takes it.
func FuzzAdmittedPods(f *testing.F) {
	servers := []*fuzzedServer{serveFuzzed(f, testDecider(f)), serveFuzzed(f, fuzzedPolicies(f, "keep-policies.yaml"))}
	pod := request(f, nil).Object.Raw
	f.Add(false, uint8(0), "", "system:serviceaccount:jupyter:hub", pod, []byte("null"))
	f.Fuzz(func(t *testing.T, keep bool, operation uint8, sub, caller string, object, old []byte) {
		if !json.Valid(object) || !json.Valid(old) {
			return // FuzzAdmissionBodies is for what is no JSON
		}
		s := servers[0]
		if keep {
			s = servers[1]
		}
		ask := func(path string, object []byte) *admissionv1.AdmissionResponse {
			req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				UID: types.UID("7f833006"), Resource: podResource, Namespace: "research", SubResource: sub,
				Operation: fuzzedOperations[int(operation)%len(fuzzedOperations)],
			}}
			req.UserInfo.Username = strings.ToValidUTF8(caller, "")
			req.Object.Raw, req.OldObject.Raw = object, old
			review := admissionv1.AdmissionReview{Request: &req.AdmissionRequest}
			review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
			body, err := json.Marshal(review)
			require.NoError(t, err)
			return s.send(t, path, body)
		}
		object = canonical(t, object)
		_ = ask(VerifyPath, object)
		response := ask(MutatePath, object)
		if response == nil || response.Patch == nil {
			return
		}
		final := requirePatched(t, object, response.Patch)
		verified := ask(VerifyPath, final)
		require.True(t, verified.Allowed, "%s\nof %s", verified.Result, final)
	})
}

// canonical writes a document as an API server does: each key once.
func canonical(t *testing.T, document []byte) []byte {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return out
}
