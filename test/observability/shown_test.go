package observability

import (
	"math"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const chartFolder = "../../charts/slipway"

func TestPanelsAreReadWithTheirUnitsAndQueries(t *testing.T) {
	panels, err := Panels(chartFolder)
	require.NoError(t, err)
	titles := map[string]Panel{}
	for _, p := range panels {
		assert.NotEmpty(t, p.Targets, p.Title)
		assert.NotEmpty(t, p.Unit, p.Title)
		titles[p.Title] = p
	}
	assert.Len(t, titles, len(panels), "each has a title of its own")
	assert.Equal(t, "stat", titles["Replicas"].Type)
	assert.Equal(t, "bytes", titles["Memory"].Unit)
	assert.Len(t, titles["Latency by webhook"].Targets, 3)
	assert.Equal(t, "{{webhook}} p99", titles["Latency by webhook"].Targets[2].Legend)
}

func TestAlertsAreReadWithoutWhatTheyCompareWith(t *testing.T) {
	alerts, err := Alerts(chartFolder)
	require.NoError(t, err)
	require.Len(t, alerts, 10)
	exprs := map[string]string{}
	for _, a := range alerts {
		assert.NotRegexp(t, `[<>]|==|absent`, a.Expr)
		exprs[a.Name] = a.Expr
	}
	assert.Equal(t, "slipway_admissions_in_flight_limit", exprs["SlipwayWebhookDown"])
	assert.Equal(t, "slipway_cache_age_seconds", exprs["SlipwayCacheStale"])
	assert.Equal(t, "min by (namespace, pod) (slipway_certificate_expiry_timestamp_seconds) - time()", exprs["SlipwayCertificateExpiring"])
	assert.Contains(t, exprs["SlipwayDenials"], `webhook!="validate-policy"}[15m]))`)
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "s", "0 s"}, {.00025, "s", "250 µs"}, {.0123, "s", "12.3 ms"}, {61, "s", "61 s"}, {600, "s", "10 min"}, {90 * 86400, "s", "90 d"},
		{128 << 20, "bytes", "128 MiB"}, {.05, "percentunit", "5 %"}, {12.345, "reqps", "12.3/s"}, {1234, "short", "1.23 k"}, {2, "short", "2"},
	} {
		assert.Equal(t, c.want, inUnit(c.v, c.unit))
	}
	for v, want := range map[float64]float64{0: 1, .7: .8, 1: 1, 7: 8, 61: 80, 1200: 1500} {
		top, steps := ceiling(v)
		assert.InDelta(t, want, top, 1e-9)
		assert.Positive(t, steps)
	}
}

func TestSeriesOfNoNumberAreNone(t *testing.T) {
	nan := &model.SampleStream{Values: []model.SamplePair{{Value: model.SampleValue(math.NaN())}}}
	_, has := greatest(nan)
	assert.False(t, has, "what a division by nothing gives is no data")
	assert.Equal(t, "mutate p99", nameOf("{{webhook}} p99", model.Metric{"webhook": "mutate"}))
	assert.Equal(t, "NoPolicy", nameOf("{{gone}} {{ reason }}", model.Metric{"reason": "NoPolicy"}))
}
