package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
)

func testValidator(t testing.TB) *policyValidator {
	t.Helper()
	return &policyValidator{policies: testPolicies(t), namespaces: research{}, log: logr.Discard()}
}

// writing is the request to write a SpawnPolicy of namespace research with this spec, in the place of the old one if there is any.
func writing(t testing.TB, spec, old string) admission.Request {
	t.Helper()
	object := func(spec string) runtime.RawExtension {
		data, err := yaml.YAMLToJSON([]byte("{apiVersion: slipway.dev/v1alpha1, kind: SpawnPolicy, metadata: {name: p, namespace: research, uid: a}, spec: " + spec + "}"))
		require.NoError(t, err)
		return runtime.RawExtension{Raw: data}
	}
	req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "u", Name: "p", Namespace: "research", Operation: admissionv1.Create, Object: object(spec),
		Resource: metav1.GroupVersionResource{Group: "slipway.dev", Version: "v1alpha1", Resource: "spawnpolicies"},
	}}
	if old != "" {
		req.Operation, req.OldObject = admissionv1.Update, object(old)
	}
	return req
}

// writingForCluster is the same for ClusterSpawnPolicy p.
func writingForCluster(t testing.TB, spec, old string) admission.Request {
	t.Helper()
	req := writing(t, spec, old)
	for _, raw := range []*[]byte{&req.Object.Raw, &req.OldObject.Raw} {
		text := strings.Replace(string(*raw), `"kind":"SpawnPolicy"`, `"kind":"ClusterSpawnPolicy"`, 1)
		*raw = []byte(strings.Replace(text, `"namespace":"research",`, "", 1))
	}
	req.Namespace, req.Resource.Resource = "", "clusterspawnpolicies"
	return req
}

func TestABrokenPolicyIsRefusedWithAllItsFaults(t *testing.T) {
	r := decide(t, testValidator(t), writing(t, "{defaults: {workingDir: '{nobody}', volumes: {home: null}, imgae: a}}", ""))
	require.False(t, r.Allowed)
	assert.Equal(t, int32(http.StatusUnprocessableEntity), r.Result.Code)
	assert.Equal(t, metav1.StatusReasonInvalid, r.Result.Reason)
	assert.True(t, strings.HasPrefix(r.Result.Message, "Slipway PolicyInvalid: SpawnPolicy research/p: spec.defaults.volumes.home: "), r.Result.Message)
	assert.Equal(t, outcome{resultDenied, "PolicyInvalid"}, outcomeOf(&r))

	r = decide(t, testValidator(t), writing(t, "{defaults: {workingDir: '{nobody}', unset: [nothing], extraPodConfig: {hostnetwork: true}}}", ""))
	var fields []string
	for _, c := range r.Result.Details.Causes {
		assert.Equal(t, metav1.CauseType(policy.PolicyInvalid), c.Type)
		fields = append(fields, c.Field)
	}
	assert.ElementsMatch(t, []string{"spec.defaults.unset[0]", "spec.defaults.extraPodConfig.hostnetwork"}, fields)
}

func TestAGoodPolicyIsAdmittedWithWarnings(t *testing.T) {
	r := decide(t, testValidator(t), writing(t, "{defaults: {image: 'busybox:latest'}}", ""))
	require.True(t, r.Allowed, "%v", r.Result)
	assert.Len(t, r.Warnings, 1)
	assert.Equal(t, outcome{result: resultVerified}, outcomeOf(&r))
}

func TestWarningsStayWithinWhatAClientIsShown(t *testing.T) {
	var containers []string
	for i := range 40 {
		containers = append(containers, "{name: c"+string(rune('a'+i%26))+string(rune('a'+i/26))+", image: '"+strings.Repeat("long", 80)+":latest', resources: {limits: {memory: 1Mi}}}")
	}
	r := decide(t, testValidator(t), writing(t, "{defaults: {extraContainers: ["+strings.Join(containers, ", ")+"]}}", ""))
	require.True(t, r.Allowed, "%v", r.Result)
	assert.Len(t, r.Warnings, 16)
	for _, w := range r.Warnings {
		assert.LessOrEqual(t, len(w), 256)
	}
	assert.Equal(t, "and 25 more warnings", r.Warnings[15])
}

// A policy that was admitted under other rules, or became invalid by another, can still be labelled and deleted.
func TestWhatChangesNoSpecPasses(t *testing.T) {
	const broken = "{defaults: {workingDir: '{nobody}'}}"
	assert.True(t, decide(t, testValidator(t), writing(t, broken, broken)).Allowed)
	assert.False(t, decide(t, testValidator(t), writing(t, broken, "{defaults: {workingDir: /home}}")).Allowed)
	status := writing(t, broken, "{}")
	status.SubResource = "status"
	assert.True(t, decide(t, testValidator(t), status).Allowed)
	deleted := writing(t, broken, broken)
	deleted.Operation, deleted.Object = admissionv1.Delete, runtime.RawExtension{}
	assert.True(t, decide(t, testValidator(t), deleted).Allowed)
}

func TestPoliciesAreJudgedBesideThoseOfTheMoment(t *testing.T) {
	v := testValidator(t)
	before := policy.Policies{}
	require.NoError(t, json.Unmarshal([]byte(`{"Namespaced":[{"metadata":{"name":"o","namespace":"research"},"spec":{"profiles":[{"slug":"gpu"}]}}]}`), &before))
	v.policies.current.Store(&policySet{compiled: policy.Compile(before)})
	r := decide(t, v, writing(t, "{profiles: [{slug: gpu}]}", ""))
	require.False(t, r.Allowed)
	assert.Contains(t, r.Result.Message, "SpawnPolicy research/o, spec.profiles[0]")
	// Itself as it was isn't beside it.
	require.NoError(t, json.Unmarshal([]byte(`{"Namespaced":[{"metadata":{"name":"p","namespace":"research"},"spec":{"profiles":[{"slug":"gpu"}]}}]}`), &before))
	v.policies.current.Store(&policySet{compiled: policy.Compile(before)})
	assert.True(t, decide(t, v, writing(t, "{profiles: [{slug: gpu}], priority: 1}", "{profiles: [{slug: gpu}]}")).Allowed)
}

func TestAPolicyWaitsUntilTheOthersAreRead(t *testing.T) {
	v := testValidator(t)
	v.policies.current.Store(nil)
	r := decide(t, v, writing(t, "{}", ""))
	assert.False(t, r.Allowed)
	assert.Equal(t, outcome{resultError, reasonNotReady}, outcomeOf(&r))
}

func TestThePolicyWebhookJudgesPoliciesAlone(t *testing.T) {
	r := decide(t, testValidator(t), request(t, nil))
	assert.False(t, r.Allowed)
	assert.Equal(t, outcome{resultError, reasonBadRequest}, outcomeOf(&r))
}

// manyFlaws is a policy every volume of which has a name that the API server refuses.
func manyFlaws(n int) string {
	var volumes strings.Builder
	for i := range n {
		fmt.Fprintf(&volumes, "v%04d: {name: Bad_%04d, emptyDir: {}}, ", i, i)
	}
	return "{defaults: {image: 'a:1', volumes: {" + volumes.String() + "}}}"
}

func TestManyFlawsAreFoundInTimeAndAbridged(t *testing.T) {
	started := time.Now()
	r := decide(t, testValidator(t), writing(t, manyFlaws(3000), ""))
	require.False(t, r.Allowed)
	assert.Less(t, time.Since(started), 2*judgingTime)
	assert.Contains(t, r.Result.Message, "spec.defaults.volumes[v0000]: ")
	assert.Regexp(t, `and \d+ more`, r.Result.Message)
	assert.LessOrEqual(t, len(r.Result.Details.Causes), maxDenials)
}

// What namespaces write must not keep the platform from writing its own.
func TestNamespacesLeaveThePlatformsRoomAlone(t *testing.T) {
	v := newPolicyValidator(testPolicies(t), research{}, logr.Discard())
	require.True(t, v.ofNamespaces.enter())
	r := decide(t, v, writing(t, "{defaults: {image: 'a:1'}}", ""))
	assert.Equal(t, outcome{resultError, reasonTooMany}, outcomeOf(&r))
	assert.True(t, decide(t, v, writingForCluster(t, "{enforced: {privileged: false}}", "")).Allowed)
	v.ofNamespaces.leave()
	assert.True(t, decide(t, v, writing(t, "{defaults: {image: 'a:1'}}", "")).Allowed)
	assert.Empty(t, v.ofCluster, "the room is given back")
}

func TestARequestThatIsOverIsNotJudged(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := testValidator(t).Handle(ctx, writing(t, "{}", ""))
	assert.Equal(t, outcome{resultError, reasonTimeout}, outcomeOf(&r))
}

// What was wrong already keeps nobody from changing something else, or from mending one thing after the other.
func TestAnUpdateIsRefusedForNewFaultsAlone(t *testing.T) {
	const first, second = "{name: Bad_1, emptyDir: {}}", "{name: Bad_2, emptyDir: {}}"
	update := func(spec, old string) admission.Response { return decide(t, testValidator(t), writing(t, spec, old)) }
	r := update("{defaults: {volumes: {a: "+first+"}}, enforced: {privileged: false}}", "{defaults: {volumes: {a: "+first+"}}}")
	require.True(t, r.Allowed, "%v", r.Result)
	require.NotEmpty(t, r.Warnings)
	assert.True(t, strings.HasPrefix(r.Warnings[0], `spec.defaults.volumes[a]: still denies servers: "Bad_1"`), r.Warnings)
	assert.True(t, update("{defaults: {volumes: {a: "+first+"}}}", "{defaults: {volumes: {a: "+first+", b: "+second+"}}}").Allowed)
	assert.False(t, update("{defaults: {volumes: {a: "+first+", b: "+second+"}}}", "{defaults: {volumes: {a: "+first+"}}}").Allowed)
	assert.False(t, update("{defaults: {volumes: {a: "+second+"}}}", "{defaults: {volumes: {a: "+first+"}}}").Allowed)
	// The same for what doesn't even compile.
	assert.True(t, update("{priority: 1, defaults: {workingDir: '{nobody}'}}", "{defaults: {workingDir: '{nobody}'}}").Allowed)
	assert.False(t, update("{defaults: {workingDir: '{noone}'}}", "{defaults: {workingDir: '{nobody}'}}").Allowed)
}

func TestOneFlawOfManyCanBeMended(t *testing.T) {
	const many, fewer = 200, 190
	assert.True(t, decide(t, testValidator(t), writing(t, manyFlaws(fewer), manyFlaws(many))).Allowed)
	assert.False(t, decide(t, testValidator(t), writing(t, manyFlaws(many), manyFlaws(fewer))).Allowed)
}
