package parity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const regressions = "testdata/regressions"

// regression is a case that once failed. It stays, so that it doesn't fail again.
type regression struct {
	Case
	// Exempt names an exemption, if the difference is meant.
	Exempt string `json:"exempt,omitempty"`
}

func TestRegressions(t *testing.T) {
	oracle := ForTest(t)
	files, err := filepath.Glob(filepath.Join(regressions, "*.json"))
	require.NoError(t, err)
	var figures tally
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var r regression
			d := json.NewDecoder(bytes.NewReader(data))
			d.UseNumber()
			require.NoError(t, d.Decode(&r), file)
			figures.count(report(t, r.Case, try(t, oracle, r.Case, r.Exempt)))
		})
	}
	figures.print(t, "regressions")
}

// keep writes a failing case to a file, which TestRegressions tries from then on.
func keep(c Case) (string, error) {
	data, err := json.MarshalIndent(regression{Case: c}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the failing case: %w", err)
	}
	if err := os.MkdirAll(regressions, 0o755); err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	file := filepath.Join(regressions, hex.EncodeToString(sum[:4])+".json")
	return file, os.WriteFile(file, append(data, '\n'), 0o600)
}
