package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every file of testdata/broken is refused: its last policy, beside those before it, for what stands in the comments at its start.
func TestBrokenPoliciesAreRefusedWithPathAndMend(t *testing.T) {
	const atLeast = 40
	testRefusals(t, "testdata/broken", atLeast)
}

// What the schema of the API server refuses is refused in files too.
func TestPoliciesThatTheSchemaRefusesAreRefusedInFiles(t *testing.T) {
	testRefusals(t, "testdata/schema", 1)
}

func testRefusals(t *testing.T, folder string, atLeast int) {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), atLeast)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			want, text := headOf(string(data))
			var got strings.Builder
			for _, e := range refused(t, text) {
				got.WriteString("# " + e.Field + ": " + e.Message + "\n")
			}
			require.NotEmpty(t, got.String(), "it isn't refused")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got.String()+text), 0o600))
				return
			}
			assert.Equal(t, want, got.String())
		})
	}
}

// headOf takes the comments off the start of a file.
func headOf(text string) (comments, rest string) {
	for strings.HasPrefix(text, "#") {
		line, after, _ := strings.Cut(text, "\n")
		comments, text = comments+line+"\n", after
	}
	return comments, text
}

// refused gives the errors of the last policy of a text.
func refused(t *testing.T, text string) []PolicyError {
	t.Helper()
	before, last := "", text
	if at := strings.LastIndex(text, "---\n"); at >= 0 {
		before, last = text[:at], text[at:]
	}
	d := decoder{}
	reader := Documents([]byte(last))
	doc, err := reader.Read()
	require.NoError(t, err)
	d.document(1, doc)
	if len(d.faults) > 0 {
		return d.faults
	}
	c := Compile(decoded(t, before))
	require.Empty(t, c.Errors())
	c = c.With(d.policies)
	ref := PolicyRef{}
	for i := range d.policies.Cluster {
		ref.Name = d.policies.Cluster[i].Name
	}
	for i := range d.policies.Namespaced {
		ref.Namespace, ref.Name = d.policies.Namespaced[i].Namespace, d.policies.Namespaced[i].Name
	}
	return c.Check(ref, Surroundings{Namespaces: []Namespace{{Name: "NAMESPACE", Labels: map[string]string{"test": "NAMESPACE"}}}}).Errors
}
