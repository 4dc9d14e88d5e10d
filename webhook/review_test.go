package webhook

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
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

// research is the cache of a cluster with one namespace.
type research struct{}

func (research) Labels(_ context.Context, name string) (map[string]string, bool) {
	return map[string]string{"tier": "research"}, name == "research"
}

// engineFunc stands in for the engine where a test needs an answer that policies don't give.
type engineFunc func(policy.Input) (policy.Result, bool, error)

func (f engineFunc) Apply(in policy.Input) (policy.Result, bool, error) { return f(in) }

// testPolicies are those of testdata/policies.yaml, compiled.
func testPolicies(t testing.TB) *policies {
	t.Helper()
	data, err := os.ReadFile("testdata/policies.yaml")
	require.NoError(t, err)
	decoded, err := policy.Decode("policies.yaml", data)
	require.NoError(t, err)
	p := &policies{}
	p.current.Store(&policySet{compiled: policy.Compile(decoded)})
	require.Empty(t, p.current.Load().compiled.Errors())
	return p
}

func testMutator(t testing.TB) *mutator {
	t.Helper()
	return &mutator{engine: testPolicies(t), namespaces: research{}, log: logr.Discard()}
}
