package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

// readReviewFile gives the AdmissionReview that an API server 1.37 sent for the bare skeleton of alice.
func readReviewFile(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/review.json")
	require.NoError(t, err)
	return data
}

// request gives the request of that review, after a change of its pod if there is one.
func request(t testing.TB, change func(*corev1.Pod)) admission.Request {
	t.Helper()
	review := admissionv1.AdmissionReview{}
	require.NoError(t, json.Unmarshal(readReviewFile(t), &review))
	if change != nil {
		pod := &corev1.Pod{}
		require.NoError(t, json.Unmarshal(review.Request.Object.Raw, pod))
		change(pod)
		var err error
		review.Request.Object.Raw, err = json.Marshal(pod)
		require.NoError(t, err)
	}
	return admission.Request{AdmissionRequest: *review.Request}
}

// final makes of a pod what policy makes of alice's skeleton.
func final(t testing.TB) func(*corev1.Pod) {
	t.Helper()
	req := request(t, nil)
	patch, err := jsonpatch.DecodePatch(testMutator(t).Handle(t.Context(), req).Patch)
	require.NoError(t, err)
	fitted, err := patch.Apply(req.Object.Raw)
	require.NoError(t, err)
	return func(p *corev1.Pod) {
		*p = corev1.Pod{}
		require.NoError(t, json.Unmarshal(fitted, p))
	}
}

// research is the cache of a cluster with one namespace.
type research struct{}

func (research) Labels(_ context.Context, name string) (map[string]string, bool) {
	return map[string]string{"tier": "research"}, name == "research"
}

// engineFunc stands in for the engine where a test needs an answer that policies don't give.
type engineFunc func(policy.Input) (policy.Result, bool, error)

func (f engineFunc) Apply(in policy.Input) (policy.Result, bool, error) { return f(in) }

// Verify and Update aren't asked by those tests.
func (engineFunc) Verify(policy.Input, *corev1.Pod) ([]policy.Denial, bool) { return nil, true }
func (engineFunc) Update(policy.Input, *corev1.Pod, *corev1.Pod, policy.Subresource) ([]policy.Denial, *policy.AuditReport, bool) {
	return nil, nil, true
}

// noClaims is the cache of a cluster without claims.
type noClaims struct{}

func (noClaims) In(ctx context.Context, namespace string) *namespaceClaims {
	return &namespaceClaims{ctx: ctx, reader: noClaims{}, namespace: namespace}
}

func (noClaims) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

func (noClaims) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(corev1.Resource("persistentvolumeclaims"), key.Name)
}

// decide has a request decided as the endpoint does, panics included.
func decide(t testing.TB, handler admission.Handler, req admission.Request) admission.Response {
	t.Helper()
	return (&endpoint{webhook: "test", handler: handler, log: logr.Discard()}).decide(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil), req)
}

// testPolicies are those of testdata/policies.yaml, compiled.
func testPolicies(t testing.TB) *policies {
	t.Helper()
	data, err := os.ReadFile("testdata/policies.yaml")
	require.NoError(t, err)
	decoded, err := policy.Decode("policies.yaml", data)
	require.NoError(t, err)
	p := &policies{now: time.Now}
	p.current.Store(&policySet{compiled: policy.Compile(decoded)})
	require.Empty(t, p.current.Load().compiled.Errors())
	return p
}

func testMutator(t testing.TB) *mutator {
	t.Helper()
	return &mutator{testDecider(t)}
}

func testDecider(t testing.TB) decider {
	t.Helper()
	return decider{engine: testPolicies(t), namespaces: research{}, claims: noClaims{}, log: logr.Discard()}
}
