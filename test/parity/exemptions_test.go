package parity

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An exemption that no case is marked with says something that nobody has seen.
func TestEveryExemptionHasACase(t *testing.T) {
	used := map[string]bool{}
	rows, _ := traitRows(t)
	for _, list := range rows {
		for _, r := range list {
			used[r.Exempt] = true
		}
	}
	var lists []profileList
	readYAML(t, "testdata/profiles.yaml", &lists)
	for _, list := range lists {
		for _, r := range list.Tries {
			used[r.Exempt] = true
		}
	}
	files, err := filepath.Glob(filepath.Join(regressions, "*.json"))
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var r regression
		require.NoError(t, json.Unmarshal(data, &r))
		used[r.Exempt] = true
	}
	for _, e := range Exemptions() {
		assert.True(t, used[e.Name], "no case is marked with %s", e.Name)
	}
}

func TestOwnDashesExplainNothingElse(t *testing.T) {
	for line, want := range map[string]bool{
		`a: want "bob", got "bob-"`:                           true,
		`a: want "-bob", got "-bob--"`:                        true,
		`a: want "", got "-"`:                                 true,
		`a: want "bob-", got "bob"`:                           false,
		`a: want "bob", got "eve-"`:                           false,
		`a: want "bob", got "bob-x"`:                          false,
		`a: want 1, got 1-`:                                   false,
		`want a pod, got a refusal: NameMismatch: x`:          true,
		`want a pod, got a refusal: ProfileUnknown: x`:        false,
		`want a refusal, since KubeSpawner raises; got a pod`: false,
	} {
		assert.Equal(t, want, ownDashesStay(line), line)
	}
}
