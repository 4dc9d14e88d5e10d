package check

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestATableHasALineForEachFindingAndItsMendBelow(t *testing.T) {
	r := &Report{Namespace: "slipway-system", Findings: []Finding{
		{Severity: OK, Check: "crds", Message: "both are established"},
		{
			Severity: Wrong, Check: "fitting webhook", Object: "MutatingWebhookConfiguration 0-slipway", Field: "webhooks[0].failurePolicy",
			Message: "is Ignore, must be Fail", Mend: "kubectl patch mutatingwebhookconfiguration 0-slipway",
		},
		{Severity: Warning, Check: "replicas", Object: "Deployment slipway-system/slipway-webhook", Message: "is 1 of 2", Mend: "kubectl describe pods"},
		{Severity: Warning, Check: "certificate", Message: "expires soon"},
		{Severity: Note, Check: "policies", Message: "there is no policy"},
		{Severity: Unseen, Check: "pods", Message: "you have no right to list pods", Mend: "grant it"},
	}}
	var got bytes.Buffer
	require.NoError(t, WriteTable(&got, r))
	path := filepath.Join("testdata", "table.txt")
	if *update {
		require.NoError(t, os.WriteFile(path, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(string(want), got.String()), "-update rewrites it")
}

func TestNamesInMessagesAreFewAndThoseOfCommandsAreAll(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	assert.Equal(t, "a, b, c, d, e and 2 more", some(names))
	assert.Equal(t, "a b c d e f g", argumentsOf(names))
	assert.Equal(t, "1 pod", plural(1, "pod"))
	assert.Equal(t, "2 pods", plural(2, "pod"))
}
