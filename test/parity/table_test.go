package parity

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// row is one line of testdata/traits.yaml or of the tries in testdata/profiles.yaml.
type row struct {
	Value   any               `yaml:"value"`
	With    map[string]any    `yaml:"with"`
	Options map[string]string `yaml:"options"`
	Groups  []string          `yaml:"groups"`
	Env     map[string]string `yaml:"env"`
	// User is who the row is tried for, where it isn't the usual ones.
	User   string `yaml:"user"`
	Exempt string `yaml:"exempt"`
}

// traitRows are the rows of each trait, and of the others the reason why they have none.
func traitRows(t *testing.T) (rows map[string][]row, reasons map[string]string) {
	t.Helper()
	var nodes map[string]yaml.Node
	readYAML(t, "testdata/traits.yaml", &nodes)
	rows, reasons = map[string][]row{}, map[string]string{}
	for name, node := range nodes {
		if node.Kind == yaml.ScalarNode {
			reasons[name] = node.Value
			continue
		}
		var list []row
		require.NoError(t, node.Decode(&list), name)
		rows[name] = list
	}
	return rows, reasons
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	require.NoError(t, d.Decode(into), file)
}

// identities are the two servers that every row is tried for.
var identities = []Case{
	{User: "alice", Prefix: "/user/alice/"},
	{User: "Some.User@example.org", Server: "My Server", Prefix: "/user/Some.User@example.org/my-server/"},
}

// asJSON gives YAML values the types that JSON has. Python tells 2.0 from 2, so the point is kept.
func asJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = asJSON(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = asJSON(item)
		}
		return out
	case int:
		return json.Number(strconv.Itoa(v))
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		return json.Number(text)
	}
	return v
}

func settingsOf(values map[string]any) map[string]any {
	settings, ok := asJSON(values).(map[string]any)
	if !ok {
		return map[string]any{}
	}
	return settings
}
