package chart

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden file anew")

// What a plain install gives, to be read in review; the CRDs and admission policies are read in their own files.
func TestDefaultManifests(t *testing.T) {
	const golden = "testdata/default.yaml"
	text, says, err := template(t, nil)
	require.NoError(t, err, says)
	var kept []string
	for document := range strings.SplitSeq(text, "---\n# Source: ") {
		source, _, _ := strings.Cut(document, "\n")
		if source != "" && source != "slipway/templates/crds.yaml" && !strings.HasPrefix(source, "slipway/templates/admission/") {
			kept = append(kept, "---\n# Source: "+strings.TrimSpace(document)+"\n")
		}
	}
	got := strings.Join(kept, "")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "if that is meant, run: go test ./test/chart -run DefaultManifests -update")
}
