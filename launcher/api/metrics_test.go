package api

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

const metricsFile = "../METRICS.md"

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
	file, err := os.ReadFile(metricsFile)
	require.NoError(t, err)
	lines := described(t)
	table := "$0"
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		table += lines[name]
	}
	rest := regexp.MustCompile("(?m)^\\| `slipway_.*\n").ReplaceAll(file, nil)
	want := regexp.MustCompile(`(?m)^\|---.*\n`).ReplaceAll(rest, []byte(table))
	if *update {
		require.NoError(t, os.WriteFile(metricsFile, want, 0o600))
		return
	}
	assert.Equal(t, string(want), string(file), "run with -update and read the difference")
}

func TestMetricsHaveTheTypesAndNamesThatPrometheusWants(t *testing.T) {
	families, err := metrics.Registry.Gather()
	require.NoError(t, err)
	seen := 0
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
		if strings.HasPrefix(family.GetName(), "slipway_") {
			seen++
			assert.Equal(t, typeOf(family.GetName()), strings.ToLower(family.GetType().String()), family.GetName())
		}
	}
	assert.GreaterOrEqual(t, seen, 5)
	assert.Subset(t, names, []string{"go_goroutines", "process_resident_memory_bytes"}, "and there are those of the process")
	problems, err := testutil.GatherAndLint(metrics.Registry)
	require.NoError(t, err)
	assert.Empty(t, slices.DeleteFunc(problems, func(p promlint.Problem) bool { return !strings.HasPrefix(p.Metric, "slipway_") }))
}

func TestRequestsAreCountedByWhatBecameOfThem(t *testing.T) {
	const server = "/v1/hubs/main/users/alice/server"
	for name, c := range map[string]struct {
		l                       *told
		method, path, body      string
		operation, result, code string
	}{
		"well":              {&told{server: running()}, http.MethodGet, server, "", idGet, resultOK, ""},
		"a named server":    {&told{server: running()}, http.MethodGet, server + "s/gpu", "", idGet, resultOK, ""},
		"none there":        {&told{}, http.MethodGet, server, "", idGet, resultRefused, CodeNotFound},
		"policy":            {&told{err: denied(metav1.StatusReasonForbidden, 403)}, http.MethodPut, server, `{"startId":"s"}`, idStart, resultRefused, "ProfileNotAllowed"},
		"a wrong body":      {&told{}, http.MethodPut, server, `{}`, idStart, resultRefused, CodeInvalid},
		"another hub":       {&told{}, http.MethodGet, "/v1/hubs/other/servers", "", idList, resultRefused, CodeHubNotAllowed},
		"no such path":      {&told{}, http.MethodGet, "/v2", "", noOperation, resultRefused, CodeNoSuchPath},
		"a panic":           {nil, http.MethodGet, "/v1/hubs/main/servers", "", idList, resultError, CodeInternal},
		"its description":   {&told{}, http.MethodGet, "/openapi.json", "", idDescribe, resultOK, ""},
		"a wrong parameter": {&told{}, http.MethodDelete, server + "?waitSeconds=", "", idStop, resultRefused, CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			counter := requests.WithLabelValues(c.operation, c.result, c.code)
			before := testutil.ToFloat64(counter)
			ask(t, handler(t, c.l), c.method, c.path, c.body)
			assert.InDelta(t, before+1, testutil.ToFloat64(counter), 0)
			assert.InDelta(t, 0, testutil.ToFloat64(requestsInFlight), 0)
		})
	}
}

func TestErrorsAreCountedAsZeroBeforeTheyHappen(t *testing.T) {
	families, err := metrics.Registry.Gather()
	require.NoError(t, err)
	var series []string
	for _, family := range families {
		if family.GetName() == "slipway_launcher_requests_total" {
			for _, m := range family.GetMetric() {
				line := ""
				for _, l := range m.GetLabel() { // in the order of their names
					line += l.GetValue() + " "
				}
				series = append(series, line)
			}
		}
	}
	for _, operation := range operationIDs {
		assert.Contains(t, series, CodeClusterUnavailable+" "+operation+" error ")
		assert.Contains(t, series, " "+operation+" ok ")
	}
}
