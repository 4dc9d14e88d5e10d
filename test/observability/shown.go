// Package observability asks a real Prometheus that has scraped a run whether the chart's dashboard and alerts would show
// anything of it, and draws what the dashboard would.
//
// For every panel to have data, a run has to have a pod admitted, one denied, and one that an audited policy matches, and
// has to last a few scrapes after that.
package observability

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"sigs.k8s.io/yaml"
)

// Panel is a panel of the dashboard.
type Panel struct {
	// Type is stat or timeseries; rows are left out.
	Type  string `json:"type"`
	Title string `json:"title"`
	// Unit is Grafana's name of it.
	Unit    string   `json:"-"`
	Targets []Target `json:"targets"`
}

// Target is one query of a panel.
type Target struct {
	Expr string `json:"expr"`
	// Legend is Grafana's template of a series' name: {{label}}.
	Legend string `json:"legendFormat"`
}

// Alert is one alert without what it compares with, so that it has data when all is well.
type Alert struct{ Name, Expr string }

// Panels reads the dashboard in a chart's folder.
func Panels(chart string) ([]Panel, error) {
	data, err := os.ReadFile(filepath.Join(chart, "files", "dashboard.json"))
	if err != nil {
		return nil, fmt.Errorf("read the dashboard: %w", err)
	}
	var dashboard struct {
		Panels []struct {
			Panel

			FieldConfig struct {
				Defaults struct {
					Unit string `json:"unit"`
				} `json:"defaults"`
			} `json:"fieldConfig"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		return nil, fmt.Errorf("read the dashboard: %w", err)
	}
	var panels []Panel
	for _, p := range dashboard.Panels {
		if p.Type != "row" {
			p.Unit = p.FieldConfig.Defaults.Unit
			panels = append(panels, p.Panel)
		}
	}
	return panels, nil
}

// comparison is with a number, as all of ours are; a test says so. absence is of what there should be.
var (
	comparison = regexp.MustCompile(`\s*(==|<|>)\s*[0-9.]+(\s*\*\s*[0-9]+)*`)
	absence    = regexp.MustCompile(`^absent\((.*)\)$`)
)

// Alerts reads the alerts in a chart's folder.
func Alerts(chart string) ([]Alert, error) {
	data, err := os.ReadFile(filepath.Join(chart, "files", "alerts.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the alerts: %w", err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("read the alerts: %w", err)
	}
	var alerts []Alert
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			expr := comparison.ReplaceAllString(rule.Expr, "")
			alerts = append(alerts, Alert{Name: rule.Alert, Expr: absence.ReplaceAllString(expr, "$1")})
		}
	}
	return alerts, nil
}
