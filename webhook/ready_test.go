package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// verdictOn reads these policies, and judges the first.
func verdictOn(t *testing.T, manifests ...string) verdict {
	t.Helper()
	cache := &stored{}
	cache.put(t, manifests...)
	for i := range cache.objects {
		cache.objects[i].SetGeneration(7)
	}
	p := &policies{reader: cache, now: time.Now}
	require.NoError(t, p.refresh(t.Context()))
	verdicts := p.current.Load().verdicts
	require.Len(t, verdicts, len(manifests))
	return verdicts["uid-0"]
}

func TestReadySaysWhatIsWrongWithAPolicyByItself(t *testing.T) {
	const spawnPolicy = "kind: SpawnPolicy\nmetadata: {name: it, namespace: a}\nspec: "
	for name, c := range map[string]struct {
		policy, reason, says string
		profiles             *int32
	}{
		"a good one":                     {spawnPolicy + `{defaults: {image: b}}`, "Valid", "Nothing is wrong with this policy.", new(int32(0))},
		"with profiles":                  {spawnPolicy + `{profiles: [{slug: small}, {slug: large}]}`, "Valid", "Nothing is wrong with this policy.", new(int32(2))},
		"nothing in it":                  {spawnPolicy + `{}`, "Valid", "Nothing is wrong with this policy.", new(int32(0))},
		"a typo in a template":           {spawnPolicy + `{defaults: {workingDir: "/home/{usernam}"}}`, "Invalid", "Denies the pods that it matches: spec.defaults.workingDir: Invalid value", new(int32(0))},
		"a bad profile":                  {spawnPolicy + `{profiles: [{slug: small}, {slug: large, settings: {workingDir: '{usernam}'}}]}`, "Invalid", "spec.profiles[1].settings.workingDir", new(int32(2))},
		"a field of a newer version":     {spawnPolicy + `{sandbox: strong, profiles: [{slug: small}]}`, "Unreadable", `Denies every pod that it could be for: spec: can't be read: unknown field "sandbox"`, nil},
		"a quantity beyond Go":           {spawnPolicy + `{defaults: {memLimit: 1e1.5}}`, "Unreadable", "quantities must match", nil},
		"a good one of the cluster":      {everybody, "Valid", "", new(int32(0))},
		"an invalid one of the cluster":  {"kind: ClusterSpawnPolicy\nmetadata: {name: it}\nspec: {defaults: {workingDir: '{usernam}'}}", "Invalid", "spec.defaults.workingDir", new(int32(0))},
		"an unreadable one of all users": {"kind: ClusterSpawnPolicy\nmetadata: {name: it}\nspec: {priority: 99999999999}", "Unreadable", "priority", nil},
	} {
		t.Run(name, func(t *testing.T) {
			const other = "kind: SpawnPolicy\nmetadata: {name: it, namespace: b}\nspec: {defaults: {workingDir: '{other}'}}"
			v := verdictOn(t, c.policy, other)
			assert.Equal(t, v1alpha1.ConditionReady, v.ready.Type)
			assert.Equal(t, c.reason, v.ready.Reason)
			assert.Equal(t, c.reason == v1alpha1.ReasonValid, v.ready.Status == metav1.ConditionTrue)
			assert.Contains(t, v.ready.Message, c.says)
			assert.NotContains(t, v.ready.Message, "other", "another policy's errors")
			assert.Equal(t, int64(7), v.ready.ObservedGeneration)
			assert.Equal(t, c.profiles, v.profiles)
		})
	}
}

func TestReadyNamesTheFirstErrorsOfManyInABoundedLine(t *testing.T) {
	var volumes []string
	for i := range 40 {
		volumes = append(volumes, fmt.Sprintf("{name: v%d, emptyDir: {x: 1, %s: 1}}", i, strings.Repeat("ü", 200)))
	}
	v := verdictOn(t, "kind: SpawnPolicy\nmetadata: {name: it, namespace: a}\nspec: {defaults: {volumes: ["+strings.Join(volumes, ", ")+"]}}")
	assert.Equal(t, "Invalid", v.ready.Reason)
	assert.Regexp(t, `^Denies the pods that it matches: spec\.defaults\.volumes\[0\](.*; spec\.defaults){2}.*; and \d+ more$`, v.ready.Message)
	assert.LessOrEqual(t, len(v.ready.Message), 1024)
	assert.True(t, utf8.ValidString(v.ready.Message), "no half of a character")
	assert.NotContains(t, firstOf([]string{"spec.a: one\n | two"}), "\n", "it is a column of kubectl's")
}
