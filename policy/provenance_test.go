package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/examples"
)

// ownLayers are the layers that no policy stands behind.
var ownLayers = []string{"built-in defaults", "identity", "hub's pod"}

func TestEveryFieldOfEveryExampleSaysWhoSetIt(t *testing.T) {
	files, err := examples.Files("examples")
	require.NoError(t, err)
	fields, pods := 0, 0
	for _, file := range files {
		f, text, err := examples.Read(file)
		require.NoError(t, err)
		policies, err := policy.Decode(file, text)
		require.NoError(t, err)
		compiled := policy.Compile(policies)
		for i := range f.Tests {
			in := f.Tests[i].Input()
			in.Provenance = true
			r, err := compiled.Apply(in)
			require.NoError(t, err)
			if r.Pod == nil {
				continue
			}
			pods++
			fields += len(r.Fields)
			for _, field := range r.Fields {
				assert.True(t, isBlamed(&field), "%s, %s: %s: %+v", file, f.Tests[i].Name, field.Path, field.By)
				if by := &field.By; by.Value != "" && field.Value != "" && !strings.ContainsRune(by.Value, '{') {
					assert.Equal(t, by.Value, field.Value, "%s, %s: %s: %+v", file, f.Tests[i].Name, field.Path, field.By)
				}
			}
		}
	}
	t.Logf("%d fields of %d pods in %d files", fields, pods, len(files))
	assert.Greater(t, pods, 20)
}

func isBlamed(f *policy.Field) bool {
	return slices.Contains(ownLayers, f.By.Layer) || f.By.Layer != "" && f.By.Policy != nil && strings.HasPrefix(f.By.Path, "spec.")
}
