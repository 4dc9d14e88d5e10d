package policy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/examples"
)

// ownLayers are the layers that no policy stands behind.
var ownLayers = []string{"built-in defaults", "identity", "hub's pod"}

func TestEveryFieldOfEveryExampleSaysWhoSetIt(t *testing.T) {
	var files []string
	require.NoError(t, filepath.WalkDir("examples", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, "_test.yaml") {
			files = append(files, path)
		}
		return err
	}))
	fields, pods := 0, 0
	for _, file := range files {
		var f examples.File
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, &f), file) // what is expected of the pods is for slipway test
		compiled := policy.Compile(policiesBeside(t, file, f.Policies))
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

func policiesBeside(t *testing.T, file string, names []string) policy.Policies {
	t.Helper()
	var all policy.Policies
	for _, name := range names {
		files := []string{filepath.Join(filepath.Dir(file), name)}
		if info, err := os.Stat(files[0]); err == nil && info.IsDir() {
			files, err = filepath.Glob(filepath.Join(files[0], "*.yaml"))
			require.NoError(t, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.yaml") {
				continue
			}
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			p, err := policy.Decode(f, text)
			require.NoError(t, err)
			all.Cluster, all.Namespaced = append(all.Cluster, p.Cluster...), append(all.Namespaced, p.Namespaced...)
		}
	}
	return all
}

func isBlamed(f *policy.Field) bool {
	return slices.Contains(ownLayers, f.By.Layer) || f.By.Layer != "" && f.By.Policy != nil && strings.HasPrefix(f.By.Path, "spec.")
}
