package webhook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

// computes is a policy with these fields that a mutator fits pods by.
func computes(t testing.TB, spec string) *mutator {
	t.Helper()
	return mutatorBy(t, `
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata: {name: launches}
spec: {launchers: [{serviceAccount: {namespace: jupyter, name: hub}, mayAssertGroups: ["*"]}]}
---
apiVersion: slipway.dev/v1alpha1
kind: SpawnPolicy
metadata: {name: computes, namespace: research}
spec: `+spec)
}

// walking are n validations that each walk through the user's groups twice, one walk inside the other.
func walking(n int) string {
	one := `{expression: "groups.all(a, groups.all(b, a != 'x' || b != 'y'))"}`
	return "{validations: [" + strings.Repeat(one+", ", n-1) + one + "]}"
}

// BenchmarkDearest is /mutate by policies that compute, up to what a request may cost, with the 99th percentile of its time.
func BenchmarkDearest(b *testing.B) {
	var groups []string
	for i := range 100 {
		groups = append(groups, fmt.Sprintf("%q", fmt.Sprintf("group-%d", i)))
	}
	inGroups := func(p *corev1.Pod) { p.Annotations[policy.AnnotationGroups] = "[" + strings.Join(groups, ",") + "]" }
	for name, c := range map[string]struct {
		spec string
		want outcome
	}{
		"nothing":    {"{}", outcome{result: resultFitted}},
		"one":        {`{expressions: {"environment[A]": "user.name"}}`, outcome{result: resultFitted}},
		"mutation":   {`{mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'add', path: '/spec/hostname', value: user.slug}]"}]}`, outcome{result: resultFitted}},
		"validation": {`{validations: [{expression: "object.spec.containers.all(c, c.image != '')"}]}`, outcome{result: resultFitted}},
		"dearest":    {walking(8), outcome{result: resultFitted}},
		"cut":        {walking(64), outcome{resultDenied, string(policy.ExpressionFailed)}},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			m := &timed{computes(b, c.spec), &took}
			benchmarkEndpoint(b, m, inGroups, c.want)
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// timed notes how long each answer takes.
type timed struct {
	admission.Handler

	took *[]time.Duration
}

// Handle answers.
func (t *timed) Handle(ctx context.Context, req admission.Request) admission.Response {
	started := time.Now()
	defer func() { *t.took = append(*t.took, time.Since(started)) }()
	return t.Handler.Handle(ctx, req)
}
