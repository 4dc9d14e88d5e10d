package z2jh

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// derivedByChart is what the chart's own code made of a hub's values.
type derivedByChart struct {
	// ExtraConfig are the hub's own pieces of Python, which ran too where Mode says so.
	ExtraConfig []string
	Mode        string
	Traits      map[string]any
}

// setByPython are the traits that hubs' own Python sets; values can't tell them.
var setByPython = map[string][]string{
	"2i2c-leap-daskhub": {"group_overrides"},
	"2i2c-maap":         {"auth_state_hook"},
	"berkeley-data101":  {"pre_spawn_hook"},
	"mybinder":          {"extra_pod_config"},
	"utoronto-hub":      {"extra_container_config", "working_dir"},
}

// TestTraitsOfRealHubs compares with what the real chart derives from the values of real hubs. They are recorded outside the project.
func TestTraitsOfRealHubs(t *testing.T) {
	folder := os.Getenv("SLIPWAY_CONFIGS")
	if folder == "" {
		folder = "../../../shared/configs"
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.traits.json"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skipf("NOT TESTED against real hubs: no *.traits.json in %s; set SLIPWAY_CONFIGS to a folder that has them", folder)
	}
	equal := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".traits.json")
		t.Run(name, func(t *testing.T) {
			want, got := recorded(t, file), ours(t, strings.TrimSuffix(file, ".traits.json")+".yaml")
			if want.Mode == "with extraConfig" && len(want.ExtraConfig) > 0 {
				for _, trait := range setByPython[name] {
					delete(want.Traits, trait)
					delete(got, trait)
				}
			}
			if diff := cmp.Diff(known(want.Traits), known(got)); diff != "" {
				t.Errorf("traits differ (- the chart's, + ours):\n%s", diff)
				return
			}
			equal++
		})
	}
	t.Logf("import z2jh: traits of %d of %d hubs equal", equal, len(files))
}

func recorded(t *testing.T, file string) derivedByChart {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var d derivedByChart
	require.NoError(t, json.Unmarshal(data, &d))
	return d
}

func ours(t *testing.T, file string) map[string]any {
	t.Helper()
	values, err := os.ReadFile(file)
	require.NoError(t, err)
	traits, err := Traits([][]byte{values}, []string{filepath.Base(file)}, Options{})
	require.NoError(t, err)
	data, err := json.Marshal(traits)
	require.NoError(t, err)
	var plain map[string]any
	require.NoError(t, json.Unmarshal(data, &plain))
	return plain
}

var inPython = regexp.MustCompile(`^\$(model|callable)$`)

// known takes out what the recording couldn't know: it ran without Helm, so that the chart has no name, and an object of the Kubernetes
// client, the metadata block, has only its kind. Nulls in an item are dropped when it is sent.
func known(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			switch {
			case inPython.MatchString(key):
				return "an object of Python's"
			case v[key] == nil, key == "app", key == "app.kubernetes.io/name", key == "claimName" && v[key] == "":
			default:
				out[key] = known(v[key])
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = known(item)
		}
		return out
	}
	return v
}
