// Package prometheus has what needs Prometheus' own code: it builds prometheus and promtool (go tool promtool), and its test reads
// the expressions of the chart's dashboard and alerts by the real parser.
package prometheus

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"
)

const root = "../../../../"

// expressions are those of the dashboard and of the alerts, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	data, err := os.ReadFile(root + "charts/slipway/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			// Grafana fills it in.
			found["panel "+p.Title+": "+target.Expr] = strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")
		}
	}
	for _, rule := range alerts(t) {
		found["alert "+rule.Alert] = rule.Expr
	}
	return found
}

func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(root+"charts/slipway/files/alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var rules []rulefmt.Rule
	for _, group := range groups.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// explained are the names in METRICS.md, and those that a scrape has of every Go program.
func explained(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(root + "webhook/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"go_goroutines": true, "process_cpu_seconds_total": true, "process_resident_memory_bytes": true}
	for _, line := range regexp.MustCompile("(?m)^\\| `(slipway_\\w+)` \\| (\\w+)").FindAllStringSubmatch(string(text), -1) {
		if line[2] != "histogram" {
			known[line[1]] = true
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			known[line[1]+suffix] = true
		}
	}
	return known
}

func TestExpressionsUseWhatIsExplained(t *testing.T) {
	known, p := explained(t), parser.NewParser(parser.Options{})
	all := expressions(t)
	if len(all) < 30 {
		t.Fatalf("found %d expressions", len(all))
	}
	for where, text := range all {
		expr, err := p.ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %s", where, err)
			continue
		}
		selected := 0
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			if s, ok := node.(*parser.VectorSelector); ok {
				selected++
				if !known[s.Name] {
					t.Errorf("%s: nobody registers %s", where, s.Name)
				}
			}
			return nil
		})
		if selected == 0 {
			t.Errorf("%s: it selects nothing", where)
		}
	}
}

func TestAlertsSayWhatToDo(t *testing.T) {
	labels := map[string]string{"webhook": "mutate", "instance": "10.0.0.1:8080", "kind": "SpawnPolicy", "policy_namespace": "research",
		"policy_name": "course", "pod": "slipway-webhook-7d4b9-x2x7k"}
	data := template.AlertTemplateData(labels, nil, "", promql.Sample{F: 0.5})
	const definitions = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
	expanded := map[string]string{}
	for _, rule := range alerts(t) {
		if !strings.HasPrefix(rule.Alert, "Slipway") || rule.Labels["severity"] == "" {
			t.Errorf("alert %s needs our name and a severity", rule.Alert)
		}
		for _, name := range []string{"summary", "description", "runbook"} {
			text := definitions + rule.Annotations[name]
			said, err := template.NewTemplateExpander(t.Context(), text, rule.Alert, data, model.TimeFromUnixNano(time.Now().UnixNano()), nil, nil, nil).Expand()
			if err != nil || said == "" || strings.Contains(said, "<no value>") {
				t.Errorf("alert %s, %s: %q, %v", rule.Alert, name, said, err)
			}
			expanded[rule.Alert+" "+name] = said
		}
	}
	for of, want := range map[string]string{
		"SlipwayPolicyNotReady summary": "SpawnPolicy research/course is invalid.",
		"SlipwaySlow summary":           "Slipway's webhook mutate is slow.",
	} {
		if expanded[of] != want {
			t.Errorf("%s: %q, want %q", of, expanded[of], want)
		}
	}
	if hint := expanded["SlipwayPolicyNotReady runbook"]; !strings.HasPrefix(hint, "kubectl describe spawnpolicy.slipway.dev course --namespace research: ") {
		t.Error(hint)
	}
}
