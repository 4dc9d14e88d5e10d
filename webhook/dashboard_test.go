package webhook

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDashboardAndAlertsUseMetricsThatThereAre(t *testing.T) {
	known := described(t)
	for _, name := range []string{"dashboard.json", "alerts.yaml"} {
		text, err := os.ReadFile("../charts/slipway/files/" + name)
		require.NoError(t, err)
		used := regexp.MustCompile(`\bslipway_\w+`).FindAllString(string(text), -1)
		require.NotEmpty(t, used)
		for _, metric := range used {
			base := metric
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if stem, cut := strings.CutSuffix(metric, suffix); cut && typeOf(stem) == "histogram" {
					base = stem
				}
			}
			assert.Contains(t, known, base, name)
		}
	}
}
