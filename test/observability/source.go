package observability

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// points is how many points a line has.
const points = 120

// Source is a stretch of time in a Prometheus.
type Source struct {
	api      apiv1.API
	From, To time.Time
	// rate is what rates are taken over.
	rate time.Duration
}

// NewSource looks at the time from since ago until now. rate is the time that rates are taken over: four scrapes or more.
func NewSource(url string, since, rate time.Duration) (*Source, error) {
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus at %s: %w", url, err)
	}
	now := time.Now()
	return &Source{api: apiv1.NewAPI(client), From: now.Add(-since), To: now, rate: rate}, nil
}

// Series asks for an expression of the dashboard's or of an alert's, and gives those series that have a number.
func (s *Source) Series(ctx context.Context, expr string) ([]*model.SampleStream, error) {
	expr = strings.ReplaceAll(expr, "$__rate_interval", model.Duration(s.rate).String())
	value, _, err := s.api.QueryRange(ctx, expr, apiv1.Range{Start: s.From, End: s.To, Step: s.To.Sub(s.From) / points})
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus for %s: %w", expr, err)
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("ask Prometheus for %s: it answers with a %s", expr, value.Type())
	}
	var found []*model.SampleStream
	for _, series := range matrix {
		if _, has := greatest(series); has {
			found = append(found, series)
		}
	}
	return found, nil
}

// greatest is the greatest number of a series; has is false for one without.
func greatest(series *model.SampleStream) (most float64, has bool) {
	most = math.Inf(-1)
	for _, p := range series.Values {
		if v := float64(p.Value); !math.IsNaN(v) && !math.IsInf(v, 0) {
			most, has = max(most, v), true
		}
	}
	return most, has
}

// Line is a series as a panel shows it.
type Line struct {
	Name string
	*model.SampleStream
}

// Lines gives what a panel shows.
func (s *Source) Lines(ctx context.Context, p Panel) ([]Line, error) {
	var lines []Line
	for _, target := range p.Targets {
		found, err := s.Series(ctx, target.Expr)
		if err != nil {
			return nil, err
		}
		for _, series := range found {
			lines = append(lines, Line{nameOf(target.Legend, series.Metric), series})
		}
	}
	return lines, nil
}

var label = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// nameOf fills a legend in.
func nameOf(legend string, labels model.Metric) string {
	filled := label.ReplaceAllStringFunc(legend, func(field string) string {
		return string(labels[model.LabelName(label.FindStringSubmatch(field)[1])])
	})
	return strings.Join(strings.Fields(filled), " ")
}

// Missing names each query of a panel and each alert for which there is no data.
func (s *Source) Missing(ctx context.Context, panels []Panel, alerts []Alert) ([]string, error) {
	var missing []string
	for _, p := range panels {
		for _, target := range p.Targets {
			found, err := s.Series(ctx, target.Expr)
			if err != nil {
				return nil, fmt.Errorf("panel %q: %w", p.Title, err)
			}
			if len(found) == 0 {
				missing = append(missing, fmt.Sprintf("panel %q: %s", p.Title, target.Expr))
			}
		}
	}
	for _, a := range alerts {
		found, err := s.Series(ctx, a.Expr)
		if err != nil {
			return nil, fmt.Errorf("alert %s: %w", a.Name, err)
		}
		if len(found) == 0 {
			missing = append(missing, fmt.Sprintf("alert %s: %s", a.Name, strings.Join(strings.Fields(a.Expr), " ")))
		}
	}
	return missing, nil
}
