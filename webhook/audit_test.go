package webhook

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

const (
	// keepAudited is a hub's first policy, and passwords one that would change a secret of its pods.
	keepAudited = "kind: ClusterSpawnPolicy\nmetadata: {name: keep}\nspec: {enforcement: Audit, skeleton: Keep, launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]}"
	passwords   = "kind: ClusterSpawnPolicy\nmetadata: {name: passwords}\nspec: {enforcement: Audit, enforced: {environment: {PASSWORD: hunter3}}, constraints: {image: {allow: [none]}}}"
)

// auditing are the webhooks of a cluster with these policies.
func auditing(t *testing.T, manifests ...string) (*mutator, *verifier, *stored) {
	t.Helper()
	cache := &stored{}
	cache.put(t, manifests...)
	p := &policies{reader: cache, now: time.Now, log: logr.Discard()}
	require.NoError(t, p.refresh(t.Context()))
	d := decider{engine: p, namespaces: research{}, claims: noClaims{}, log: logr.Discard(), webhook: "mutate"}
	v := d
	v.webhook = "verify"
	return &mutator{d}, &verifier{v}, cache
}

// password gives the pod a variable that must not be told of.
func password(p *corev1.Pod) {
	p.Spec.Containers[0].Image = "hub:1"
	p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}}
}

func TestAnAuditChangesNothingAndTellsOfEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		mutate, verify, _ := auditing(t, keepAudited, passwords)
		var kept *[]*corev1.Event
		mutate.events, kept = collect()
		verify.events = mutate.events
		mutate.log = funcr.New(func(_, args string) { log.WriteString(args + "\n") }, funcr.Options{Verbosity: 9})
		go func() { _ = mutate.events.Start(t.Context()) }()
		counted := auditReports.WithLabelValues("mutate", "denied", "ConstraintViolated")
		before := testutil.ToFloat64(counted)

		req := request(t, password)
		response := mutate.Handle(t.Context(), req)
		require.True(t, response.Allowed)
		assert.Empty(t, response.Patch)
		assert.Empty(t, response.Patches)
		assert.Equal(t, map[string]string{
			"enforcement": "Audit", "audit-policies": "ClusterSpawnPolicy keep, ClusterSpawnPolicy passwords", "audit-outcome": "denied",
			"audit-reasons":     "ConstraintViolated spec.containers[notebook].image",
			"audit-differences": "changed spec.containers[notebook].env[PASSWORD].value",
		}, response.AuditAnnotations)
		assert.Equal(t, outcome{result: resultUntouched}, outcomeOf(&response))
		assert.Contains(t, response.Warnings, "audit: would be changed: spec.containers[notebook].env[PASSWORD].value")
		assert.InDelta(t, before+1, testutil.ToFloat64(counted), 0)
		synctest.Wait()
		require.Len(t, *kept, 1)
		assert.Equal(t, "AuditDenied", (*kept)[0].Reason)
		assert.Equal(t, corev1.EventTypeWarning, (*kept)[0].Type)

		final := verify.Handle(t.Context(), req)
		assert.True(t, final.Allowed)
		assert.Equal(t, outcome{result: resultUntouched}, outcomeOf(&final))
		assert.Empty(t, final.Warnings, "the caller has heard it")
		synctest.Wait()
		assert.Len(t, *kept, 1)

		req.DryRun = new(true)
		mutate.Handle(t.Context(), req)
		synctest.Wait()
		assert.Len(t, *kept, 1, "a dry run has no side effects")
		told, err := json.Marshal([]any{response, *kept, log.String()})
		require.NoError(t, err)
		assert.NotContains(t, string(told), "hunter")
	})
}

func TestWhatIsDeniedWhateverPolicySaysIsOnlyReportedInAudit(t *testing.T) {
	generated := func(p *corev1.Pod) {
		p.Name, p.GenerateName = "", "jupyter-"
		p.Labels[policy.LabelUsername] = "bob"
	}
	mutate, verify, _ := auditing(t, keepAudited)
	response := mutate.Handle(t.Context(), request(t, generated))
	assert.True(t, response.Allowed)
	assert.Equal(t, "IdentityConflict metadata.labels[hub.jupyter.org/username], NameMismatch metadata.generateName", response.AuditAnnotations[auditReasons])
	assert.True(t, verify.Handle(t.Context(), request(t, generated)).Allowed)

	mutate, verify, _ = auditing(t, everybody)
	for _, w := range []admission.Handler{mutate, verify} {
		response := w.Handle(t.Context(), request(t, generated))
		assert.Equal(t, "IdentityConflict", response.AuditAnnotations[auditReason])
		assert.Len(t, response.Result.Details.Causes, 2)
	}

	resize := request(t, generated)
	resize.Operation, resize.SubResource, resize.OldObject = admissionv1.Update, string(policy.Resize), resize.Object
	response = verify.Handle(t.Context(), resize)
	assert.Equal(t, "IdentityConflict", response.AuditAnnotations[auditReason])
}

func TestTheEventSaysHowMuchAnAuditMatters(t *testing.T) {
	refs := []policy.PolicyRef{{Name: "a"}}
	invalid := []policy.Denial{{Code: policy.PolicyInvalid, Field: "spec.defaults", Message: "hunter2"}}
	for reason, r := range map[string]*policy.AuditReport{
		eventAuditDenied:   {Policies: refs, Denials: invalid},
		eventAuditAdmitted: {Policies: refs, Lifted: invalid},
		eventAuditChanged:  {Policies: refs, Differences: []policy.Difference{{Path: "spec", Change: policy.FieldAdded}}},
	} {
		event := auditEvent("a", &corev1.Pod{}, r)
		assert.Equal(t, reason, event.Reason)
		assert.Equal(t, reason == eventAuditDenied, event.Type == corev1.EventTypeWarning)
		assert.NotContains(t, event.Message, "hunter2", "the messages of some denials quote values")
		assert.Contains(t, event.Message, "ClusterSpawnPolicy a")
	}
	e, kept := collect()
	req := request(t, nil)
	e.audited(&req, &corev1.Pod{}, &policy.AuditReport{Policies: refs})
	e.drain(t.Context())
	assert.Empty(t, *kept, "there is nothing to tell")
}

func TestAnAuditIsToldBesideADenialToo(t *testing.T) {
	mutate, _, _ := auditing(t, everybody, passwords)
	response := mutate.Handle(t.Context(), request(t, func(p *corev1.Pod) { p.Name = "jupyter-bob" }))
	assert.False(t, response.Allowed)
	assert.Equal(t, "NameMismatch", response.AuditAnnotations[auditReason])
	assert.Equal(t, "unchanged", response.AuditAnnotations[auditOutcome])
	assert.Equal(t, outcome{resultDenied, "NameMismatch"}, outcomeOf(&response))
}

// Between the two webhooks of one request an audited policy may come to be enforced.
func TestAPodThatPassedInAuditIsntDeniedForAPolicyThatIsEnforcedSince(t *testing.T) {
	_, verify, cache := auditing(t, keepAudited)
	p := verify.engine.(*policies)
	now := time.Now()
	p.now = func() time.Time { return now }
	enforced := strings.Replace(keepAudited, "enforcement: Audit, ", "", 1)
	cache.put(t, enforced)
	cache.objects[0].SetGeneration(2)
	require.NoError(t, p.refresh(t.Context()))
	req := request(t, password)
	assert.True(t, verify.Handle(t.Context(), req).Allowed)

	cache.objects[0].SetGeneration(3)
	now = now.Add(supersededFor - time.Second)
	require.NoError(t, p.refresh(t.Context()))
	assert.True(t, verify.Handle(t.Context(), req).Allowed, "not the set before, but the one before that")

	now = now.Add(2 * time.Second)
	response := verify.Handle(t.Context(), req)
	assert.Equal(t, "FieldChanged", response.AuditAnnotations[auditReason], "it was superseded too long ago")
}

func TestAnAuditedPolicyThatCannotBeReadDeniesNothing(t *testing.T) {
	broken := "kind: SpawnPolicy\nmetadata: {name: broken, namespace: research}\nspec: {enforcement: Audit, defaults: {memLimit: 1e1.5}}"
	p := auditedPolicies(t, everybody, broken)
	result := apply(t, p, "research")
	assert.Empty(t, result.Denials)
	assert.Equal(t, policy.AuditDenied, result.Audit.Outcome())
	assert.Equal(t, "SpawnPolicy research/broken", result.Audit.By())
	assert.Nil(t, apply(t, p, "elsewhere").Audit)
	assert.Equal(t, policy.NoPolicy, apply(t, auditedPolicies(t, broken), "research").Denials[0].Code, "whom it is for can't be told")

	enforced := apply(t, auditedPolicies(t, everybody, strings.Replace(broken, "enforcement: Audit, ", "", 1)), "research")
	assert.Equal(t, policy.PolicyInvalid, enforced.Denials[0].Code)
}

func auditedPolicies(t *testing.T, manifests ...string) *policies {
	t.Helper()
	mutate, _, _ := auditing(t, manifests...)
	return mutate.engine.(*policies)
}

func TestAnUpdateOfAPodThatIsOnlyAuditedIsToldOf(t *testing.T) {
	_, verify, _ := auditing(t, keepAudited)
	update := func(change func(*corev1.Pod)) admission.Response {
		req := request(t, password)
		req.Operation, req.OldObject = admissionv1.Update, req.Object
		req.Object = request(t, func(p *corev1.Pod) {
			password(p)
			change(p)
		}).Object
		return verify.Handle(context.Background(), req)
	}
	response := update(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "another" })
	assert.True(t, response.Allowed)
	assert.Equal(t, "FieldChanged spec.containers[notebook].image", response.AuditAnnotations[auditReasons])
	assert.Equal(t, outcome{result: resultUntouched}, outcomeOf(&response))

	response = update(func(p *corev1.Pod) { p.Annotations[policy.AnnotationUsername] = "bob" })
	assert.False(t, response.Allowed)
	response = update(func(p *corev1.Pod) { p.Labels["team"] = "red" })
	assert.Equal(t, outcome{result: resultIgnored}, outcomeOf(&response))

	_, verify, _ = auditing(t, strings.Replace(keepAudited, "enforcement: Audit, ", "", 1))
	assert.False(t, update(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "another" }).Allowed, "enforced")
}
