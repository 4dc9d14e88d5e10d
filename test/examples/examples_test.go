package examples

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

const folder = "../../policy/examples/hooks"

func TestEveryExampleDoesWhatItsTestsSay(t *testing.T) {
	policies, err := filepath.Glob(folder + "/*.yaml")
	require.NoError(t, err)
	policies = slices.DeleteFunc(policies, func(path string) bool { return strings.HasSuffix(path, "_test.yaml") })
	assert.GreaterOrEqual(t, len(policies), 12)
	for _, path := range policies {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			f, text, err := Read(strings.TrimSuffix(path, ".yaml") + "_test.yaml")
			require.NoError(t, err)
			decoded, err := policy.Decode(path, text)
			require.NoError(t, err)
			c := policy.Compile(decoded)
			require.Empty(t, c.Errors())
			for i := range f.Tests {
				t.Run(f.Tests[i].Name, func(t *testing.T) { try(t, c, &f.Tests[i]) })
			}
		})
	}
}

func try(t *testing.T, c *policy.Compiled, test *Case) {
	t.Helper()
	r, err := c.Apply(test.Input())
	require.NoError(t, err)
	require.Empty(t, DenialDifferences(test.Expect.Denied, r.Denials))
	if len(test.Expect.Denied) > 0 {
		return
	}
	for _, part := range []struct{ want, got any }{{test.Expect.Pod, r.Pod}, {test.Expect.Claim, r.Claim}} {
		if part.want == nil {
			continue
		}
		differ, err := Differences(part.want, part.got)
		require.NoError(t, err)
		assert.Empty(t, differ)
	}
	require.Len(t, r.Warnings, len(test.Expect.Warnings))
	for i, want := range test.Expect.Warnings {
		assert.Contains(t, r.Warnings[i], want)
	}
}

// What was looked at in Audit is what is enforced.
func TestThePoliciesOfKeepDifferInTheirEnforcementAlone(t *testing.T) {
	spec := func(step string) policy.Policies {
		path := "../../policy/examples/keep/" + step + "/policy.yaml"
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		p, err := policy.Decode(path, text)
		require.NoError(t, err)
		return p
	}
	audited, enforced := spec("audit"), spec("enforce")
	require.Len(t, audited.Cluster, 1)
	assert.Equal(t, v1alpha1.Audit, audited.Cluster[0].Spec.Enforcement)
	audited.Cluster[0].Spec.Enforcement = v1alpha1.Enforce
	assert.Equal(t, enforced, audited)
}

func TestDifferences(t *testing.T) {
	type m = map[string]any
	for name, test := range map[string]struct {
		want, got any
		differ    []string
	}{
		"maps contain":             {m{"a": 1}, m{"a": 1, "b": 2}, nil},
		"a value":                  {m{"a": 1}, m{"a": 2}, []string{".a: want 1, got 2"}},
		"lists are equal":          {m{"a": []int{1}}, m{"a": []int{1, 2}}, []string{".a: want [1], got [1,2]"}},
		"an empty list is none":    {m{"a": []int{}}, m{}, nil},
		"items go by name":         {[]m{{"name": "b", "x": 1}}, []m{{"name": "a"}, {"name": "b", "x": 1}}, nil},
		"one of several of a name": {[]m{{"name": "a", "x": 2}}, []m{{"name": "a", "x": 1}, {"name": "a", "x": 2}}, nil},
		"none of them":             {[]m{{"name": "a", "x": 3}}, []m{{"name": "a", "x": 1}, {"name": "a", "x": 2}}, []string{"[a].x: want 3, got 2"}},
		"none of that name":        {[]m{{"name": "a"}}, []m{{"name": "b"}}, []string{"[a]: isn't there"}},
	} {
		t.Run(name, func(t *testing.T) {
			differ, err := Differences(test.want, test.got)
			require.NoError(t, err)
			assert.Equal(t, test.differ, differ)
		})
	}
}
