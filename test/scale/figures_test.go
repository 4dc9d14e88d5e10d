//go:build scale

package scale

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
)

// results is where figures are written, as a table and as JSON.
const results = "../results"

// figure is one thing that was measured.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Goal is what Value must not exceed; 0: none.
	Goal float64 `json:"goal,omitempty"`
}

type figures struct{ all []figure }

func (f *figures) add(name string, value float64, unit string) {
	f.all = append(f.all, figure{Name: name, Value: value, Unit: unit})
}

// bounded is a figure with a goal.
func (f *figures) bounded(name string, value float64, unit string, goal float64) {
	f.all = append(f.all, figure{name, value, unit, goal})
}

func (f *figures) memory(name string, bytes int64) { f.add(name, mebibytes(bytes), "MiB") }

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// times adds the median, the 99th percentile and the longest of some durations.
func (f *figures) times(name string, took []time.Duration) {
	slices.Sort(took)
	f.add(name+", median", milliseconds(quantile(took, 0.5)), "ms")
	f.add(name+", 99th percentile", milliseconds(quantile(took, 0.99)), "ms")
	f.add(name+", longest", milliseconds(took[len(took)-1]), "ms")
}

// quantile of sorted durations.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// write shows the table and keeps it, and fails the test where a goal was missed.
func (f *figures) write(t *testing.T, name string) {
	t.Helper()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, one := range f.all {
		goal := ""
		if one.Goal > 0 {
			goal = fmt.Sprintf("goal: at most %g %s", one.Goal, one.Unit)
		}
		fmt.Fprintf(w, "%s\t%.1f %s\t%s\n", one.Name, one.Value, one.Unit, goal)
	}
	require.NoError(t, w.Flush())
	t.Log("\n" + table.String())
	text, err := json.MarshalIndent(f.all, "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(results, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(results, name+".txt"), []byte(table.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(results, name+".json"), append(text, '\n'), 0o600))
	for _, one := range f.all {
		if one.Goal > 0 && one.Value > one.Goal {
			t.Errorf("%s is %.1f %s; the goal is at most %g", one.Name, one.Value, one.Unit, one.Goal)
		}
	}
}
