package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// sets are the sets of values in the chart's folder ci, by their names.
func sets(t *testing.T) map[string]values {
	t.Helper()
	files, err := filepath.Glob(folder + "/ci/*-values.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	found := map[string]values{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		v := values{}
		require.NoError(t, yaml.Unmarshal(text, &v), file)
		found[strings.TrimSuffix(filepath.Base(file), "-values.yaml")] = v
	}
	return found
}

func TestEverySetOfValuesIsWellFormed(t *testing.T) {
	for name, v := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, says, err := helm(t, "", "lint", "--quiet", "--strict", folder, "--values", folder+"/ci/"+name+"-values.yaml")
			require.NoError(t, err, says)

			first, says, err := template(t, v)
			require.NoError(t, err, says)
			again, says, err := template(t, v)
			require.NoError(t, err, says)
			assert.Equal(t, first, again, "whoever compares what is installed with what is rendered sees a difference for ever")

			for _, o := range parse(t, first) {
				assert.NotRegexp(t, `(?m)^[ -]*caBundle:`, flat(t, o.Object), "%s %s: who makes the certificate writes it", o.GetKind(), o.GetName())
				if o.GetKind() == "Secret" {
					assert.NotContains(t, o.Object, "data", o.GetName())
					assert.NotContains(t, o.Object, "stringData", o.GetName())
				}
			}
		})
	}
}

// flat is an object as YAML.
func flat(t *testing.T, o map[string]any) string {
	t.Helper()
	text, err := yaml.Marshal(o)
	require.NoError(t, err)
	return string(text)
}

// Twice over: kubeconform reads the schemas as they are published, the API server also judges what they can't say, such as CEL.
func TestEverySetOfValuesIsWhatKubernetesKnows(t *testing.T) {
	c := prepared(t)
	// An account must be there before a pod names it.
	require.NoError(t, c.EnsureServiceAccount(t.Context(), namespace, "slipway-test"))
	var all objects
	texts := map[string]string{}
	for name, v := range sets(t) {
		text, says, err := template(t, v)
		require.NoError(t, err, says)
		texts[name] = text
		all = append(all, parse(t, text)...)
	}
	schemas := schemas(t, c, all)
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			out, err := kubeconform(t, schemas, text)
			require.NoError(t, err, out)
			assert.Contains(t, out, "Invalid: 0, Errors: 0, Skipped: 0")
			_, err = c.Kubectl(t.Context(), strings.NewReader(text), "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
			assert.NoError(t, err)
		})
	}
	t.Run("what kubeconform refuses", func(t *testing.T) {
		for misspelt, text := range map[string]string{
			"replica":  strings.Replace(texts["default"], "  replicas: 2", "  replica: 2", 1),
			"targetPo": strings.Replace(texts["default"], "targetPort: webhook", "targetPo: webhook", 1),
			"endpoint": strings.Replace(texts["ha-full"], "  endpoints:", "  endpoint:", 1),
		} {
			out, err := kubeconform(t, schemas, text)
			require.Error(t, err)
			assert.Contains(t, out, "'"+misspelt+"'")
		}
	})
}
