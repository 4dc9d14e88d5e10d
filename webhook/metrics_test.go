package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/slipway-hub/slipway/policy"
)

// described are the metrics of the product that are registered, as lines of METRICS.md's table, by name.
func described(t *testing.T) map[string]string {
	t.Helper()
	registry, ok := metrics.Registry.(prometheus.Collector)
	require.True(t, ok, "a registry describes what is registered with it")
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		registry.Describe(descs)
	}()
	parts := regexp.MustCompile(`^Desc\{fqName: "(slipway_\w+)", help: "(.+)", unit: ".*", constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`)
	lines := map[string]string{}
	for desc := range descs {
		if found := parts.FindStringSubmatch(desc.String()); found != nil {
			lines[found[1]] = fmt.Sprintf("| %#q | %s | %s | %s |\n", found[1], typeOf(found[1]), strings.ReplaceAll(found[3], ",", ", "), found[2])
		}
	}
	return lines
}

// typeOf a metric is said by its name, as Prometheus wants it.
func typeOf(name string) string {
	switch {
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case strings.HasSuffix(name, "_duration_seconds"):
		return "histogram"
	}
	return "gauge"
}

func TestMetricsAreAllExplained(t *testing.T) {
	file, err := os.ReadFile("METRICS.md")
	require.NoError(t, err)
	lines := described(t)
	table := "$0"
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		table += lines[name]
	}
	rest := regexp.MustCompile("(?m)^\\| `slipway_.*\n").ReplaceAll(file, nil)
	want := regexp.MustCompile(`(?m)^\|---.*\n`).ReplaceAll(rest, []byte(table))
	if *update {
		require.NoError(t, os.WriteFile("METRICS.md", want, 0o600))
		return
	}
	assert.Equal(t, string(want), string(file), "run with -update and read the difference")
}

func TestMetricsHaveTheTypesAndNamesThatPrometheusWants(t *testing.T) {
	readiness.follow(nil, nil)
	cacheAges.follow("Namespace")
	families, err := metrics.Registry.Gather()
	require.NoError(t, err)
	seen := 0
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "slipway_") {
			seen++
			assert.Equal(t, typeOf(family.GetName()), strings.ToLower(family.GetType().String()), family.GetName())
		}
	}
	assert.Greater(t, seen, 10)
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
	}
	assert.Subset(t, names, []string{"go_goroutines", "process_resident_memory_bytes"}, "and there are those of the process")
	problems, err := testutil.GatherAndLint(metrics.Registry)
	require.NoError(t, err)
	assert.Empty(t, slices.DeleteFunc(problems, func(p promlint.Problem) bool { return !strings.HasPrefix(p.Metric, "slipway_") }))
}

func TestWhatCanGoWrongIsCountedAsZeroBeforeItDoes(t *testing.T) {
	families, err := metrics.Registry.Gather()
	require.NoError(t, err)
	var series []string
	for _, family := range families {
		if family.GetName() == "slipway_admissions_total" {
			for _, m := range family.GetMetric() {
				var labels []string
				for _, l := range m.GetLabel() { // in the order of their names
					labels = append(labels, l.GetValue())
				}
				series = append(series, strings.Join(labels, " "))
			}
		}
	}
	for _, webhook := range []string{mutates, verifies, validatesPolicies} {
		for _, reason := range []string{reasonBadRequest, reasonInternal, reasonNotReady, reasonTooMany, reasonTimeout} {
			assert.Contains(t, series, reason+" error "+webhook)
		}
	}
	assert.Contains(t, series, " fitted mutate")
	assert.Contains(t, series, " verified verify")
}

func TestPolicyReadinessIsThatOfTheCurrentSet(t *testing.T) {
	cache := &stored{}
	p := &policies{reader: cache, now: time.Now}
	compiled := countOf(t, compileDurations)
	tell := func(manifests ...string) []string {
		cache.put(t, manifests...)
		require.NoError(t, p.refresh(t.Context()))
		return told(t, readiness)
	}
	const broken = "kind: SpawnPolicy\nmetadata: {name: course, namespace: research}\nspec: {defaults: {workingDir: '{nobody}'}}"
	assert.Equal(t, []string{"ClusterSpawnPolicy all  1", "SpawnPolicy course research 0"}, tell(everybody, broken))
	assert.Equal(t, []string{"ClusterSpawnPolicy all  1"}, tell(everybody), "nothing is left of a policy that is gone")
	assert.Empty(t, tell())
	assert.Equal(t, compiled+3, countOf(t, compileDurations))
}

// told are the gauges of a collector: the values of their labels, and their own.
func told(t *testing.T, c prometheus.Collector) []string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	require.NoError(t, err)
	var lines []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			line := ""
			for _, l := range m.GetLabel() {
				line += l.GetValue() + " "
			}
			lines = append(lines, line+fmt.Sprint(m.GetGauge().GetValue()))
		}
	}
	return lines
}

func countOf(t *testing.T, h prometheus.Collector) uint64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(h)
	families, err := registry.Gather()
	require.NoError(t, err)
	var n uint64
	for _, f := range families {
		for _, m := range f.GetMetric() {
			n += m.GetHistogram().GetSampleCount()
		}
	}
	return n
}

func TestTimeInTheEngineIsCountedPerWebhookAndAlsoWhereItPanics(t *testing.T) {
	engineIn := func(webhook string) uint64 {
		observer, err := engineDurations.GetMetricWithLabelValues(webhook)
		require.NoError(t, err)
		return countOf(t, observer.(prometheus.Histogram))
	}
	d := testDecider(t)
	d.webhook = "engine-test"
	m, v := &mutator{d}, &verifier{d}
	m.Handle(t.Context(), request(t, nil))
	assert.EqualValues(t, 1, engineIn("engine-test"))
	v.Handle(t.Context(), request(t, final(t)))
	assert.EqualValues(t, 2, engineIn("engine-test"))
	resize := request(t, final(t))
	resize.Operation, resize.SubResource, resize.OldObject = admissionv1.Update, string(policy.Resize), resize.Object
	v.Handle(t.Context(), resize)
	assert.EqualValues(t, 3, engineIn("engine-test"))

	m.engine = engineFunc(func(policy.Input) (policy.Result, bool, error) { panic("at the disco") })
	assert.Panics(t, func() { m.Handle(t.Context(), request(t, nil)) })
	assert.EqualValues(t, 4, engineIn("engine-test"))

	before := engineIn(validatesPolicies)
	testValidator(t).Handle(t.Context(), writing(t, "{defaults: {image: a}}", ""))
	assert.Equal(t, before+1, engineIn(validatesPolicies))
}

func TestRequestsThatAreBeingDecidedAreCountedUntilTheyAre(t *testing.T) {
	now := deciding.WithLabelValues("test")
	ask := func(h admission.HandlerFunc) {
		r := httptest.NewRequest(http.MethodPost, MutatePath, bytes.NewReader(readReviewFile(t)))
		r.Header.Set("Content-Type", "application/json")
		serving(h).ServeHTTP(httptest.NewRecorder(), r)
	}
	ask(func(context.Context, admission.Request) admission.Response {
		assert.InDelta(t, 1, testutil.ToFloat64(now), 0)
		return admission.Denied("no")
	})
	ask(func(context.Context, admission.Request) admission.Response { panic("at the disco") })
	assert.InDelta(t, 0, testutil.ToFloat64(now), 0)
	assert.InDelta(t, cap(newInFlight()), testutil.ToFloat64(decidingLimit), 0)
}

func TestWritesAreCountedByWhatBecameOfThem(t *testing.T) {
	writes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "writes_total", Help: "Of a test."}, []string{"result"})
	policies := schema.GroupResource{Group: "slipway.dev", Resource: "spawnpolicies"}
	for err, result := range map[error]string{
		nil: resultWritten,
		apierrors.NewConflict(policies, "p", nil):  resultOutdated,
		apierrors.NewNotFound(policies, "p"):       resultOutdated,
		apierrors.NewForbidden(policies, "p", nil): resultFailed,
		errors.New("no route to host"):             resultFailed,
	} {
		before := testutil.ToFloat64(writes.WithLabelValues(result))
		countWrite(writes, err)
		assert.InDelta(t, before+1, testutil.ToFloat64(writes.WithLabelValues(result)), 0, "%v", err)
	}
}
