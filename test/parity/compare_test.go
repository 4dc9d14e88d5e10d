package parity

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// podDifferences are pairs of pods, and what is said of them.
var podDifferences = []struct {
	name, want, got string
	lines           []string
}{
	{name: "the same", want: `{"spec":{"containers":[{"name":"a"}]}}`, got: `{"spec":{"containers":[{"name":"a"}]}}`},
	{
		name: "a text", want: `{"spec":{"containers":[{"name":"a","image":"x"}]}}`, got: `{"spec":{"containers":[{"name":"a","image":"y"}]}}`,
		lines: []string{`spec.containers[a].image: want "x", got "y"`},
	},
	{
		name: "order counts", want: `{"spec":{"volumes":[{"name":"a"},{"name":"b"}]}}`, got: `{"spec":{"volumes":[{"name":"b"},{"name":"a"}]}}`,
		lines: []string{`spec.volumes[a].name: want "a", got "b"`, `spec.volumes[b].name: want "b", got "a"`},
	},
	{
		name: "one more", want: `{"spec":{"tolerations":[]}}`, got: `{"spec":{"tolerations":[{"key":"k"}]}}`,
		lines: []string{`spec.tolerations[0]: want nothing, got {"key":"k"}`},
	},
	{
		name: "one less", want: `{"metadata":{"labels":{"a":"1","b":"2"}}}`, got: `{"metadata":{"labels":{"a":"1"}}}`,
		lines: []string{`metadata.labels[b]: want "2", got nothing`},
	},
	{
		name: "a flag that is false isn't an absent one",
		want: `{"spec":{"automountServiceAccountToken":false}}`, got: `{"spec":{}}`,
		lines: []string{`spec.automountServiceAccountToken: want false, got nothing`},
	},
	{
		name: "an empty volume source isn't an absent one",
		want: `{"spec":{"volumes":[{"name":"a","emptyDir":{}}]}}`, got: `{"spec":{"volumes":[{"name":"a"}]}}`,
		lines: []string{`spec.volumes[a].emptyDir: want {}, got nothing`},
	},
	{
		name: "sizes by value",
		want: `{"spec":{"containers":[{"name":"a","resources":{"limits":{"memory":1073741824,"cpu":2.0}}}]}}`,
		got:  `{"spec":{"containers":[{"name":"a","resources":{"limits":{"memory":"1Gi","cpu":"2000m"}}}]}}`,
	},
	{
		name: "sizes that differ",
		want: `{"spec":{"containers":[{"name":"a","resources":{"limits":{"memory":1000000000}}}]}}`,
		got:  `{"spec":{"containers":[{"name":"a","resources":{"limits":{"memory":"1Gi"}}}]}}`,
		lines: []string{
			`spec.containers[a].resources.limits[memory]: want "1G", got "1Gi"`,
		},
	},
	{
		name: "versions, our own keys and an empty server name",
		want: `{"metadata":{"annotations":{"hub.jupyter.org/kubespawner-version":"7","hub.jupyter.org/jupyterhub-version":"6"}}}`,
		got:  `{"metadata":{"namespace":"n","annotations":{"slipway.dev/applied":"{}","hub.jupyter.org/servername":""},"labels":{"slipway.dev/hub":"main"}}}`,
	},
	{
		name: "a server name that isn't empty", want: `{"metadata":{"annotations":{"hub.jupyter.org/servername":"a"}}}`, got: `{}`,
		lines: []string{`metadata.annotations: want {"hub.jupyter.org/servername":"a"}, got null`},
	},
	{name: "null among texts", want: `{"metadata":{"labels":{"a":null}}}`, got: `{"metadata":{"labels":{"a":""}}}`},
	{
		name: "defaults and empties",
		want: `{"spec":{"restartPolicy":"Always","securityContext":{},"affinity":{},"containers":[{"name":"a","lifecycle":{},"env":[]}],"volumes":[]}}`,
		got:  `{"spec":{"containers":[{"name":"a"}]}}`,
	},
}

func TestDiffPods(t *testing.T) {
	for _, test := range podDifferences {
		t.Run(test.name, func(t *testing.T) {
			lines, err := DiffPods([]byte(test.want), []byte(test.got))
			require.NoError(t, err)
			assert.Equal(t, test.lines, lines)
		})
	}
}

func TestDiffClaims(t *testing.T) {
	const claim = `{"metadata":{"name":"c"},"spec":{"resources":{"requests":{"storage":"1Gi"}}}}`
	for _, test := range []struct {
		name, want, got string
		lines           []string
	}{
		{name: "none", want: "null"},
		{name: "the same", want: claim, got: claim},
		{name: "one that isn't asked for", want: "null", got: claim, lines: []string{"want no claim, got " + claim}},
		{name: "one that is missing", want: claim, lines: []string{"want the claim " + claim + ", got none"}},
		{
			name: "a class", want: `{"spec":{"storageClassName":""}}`, got: `{"spec":{}}`,
			lines: []string{`spec.storageClassName: want "", got nothing`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines, err := DiffClaims([]byte(test.want), []byte(test.got))
			require.NoError(t, err)
			assert.Equal(t, test.lines, lines)
		})
	}
}

func TestJudge(t *testing.T) {
	raised := &RaisedError{Type: "KeyError", Message: "'x'"}
	pod := func(name string) []byte { return []byte(`{"metadata":{"name":"` + name + `"}}`) }
	names := AnswerNames{Namespace: "default"}
	fitted := Fitted{Pod: pod("a")}
	fitted.Names.Namespace = "default"
	for _, test := range []struct {
		name  string
		want  Answer
		got   Fitted
		lines []string
	}{
		{name: "both are made", want: Answer{Pod: pod("a"), Names: names}, got: fitted},
		{name: "both refuse", want: Answer{Error: raised}, got: Fitted{Refused: []string{"no"}}},
		{
			name: "only KubeSpawner refuses", want: Answer{Error: raised}, got: fitted,
			lines: []string{"want a refusal, since KubeSpawner raises KeyError: 'x'; got a pod"},
		},
		{
			name: "only we refuse", want: Answer{Pod: pod("a"), Names: names}, got: Fitted{Refused: []string{"no"}},
			lines: []string{"want a pod, got a refusal: no"},
		},
		{name: "a name that no pod can have may be refused", want: Answer{Pod: pod("A_"), Names: names}, got: Fitted{Refused: []string{"no"}}},
		{
			name: "a typing error in a field may be refused", want: Answer{Pod: []byte(`{"spec":{"nodeNam":"x"}}`), Names: names},
			got: Fitted{Refused: []string{"no"}},
		},
		{
			name: "a pod that can't be read has to be refused", want: Answer{Pod: []byte(`{"spec":{"nodeName":1}}`), Names: names}, got: fitted,
			lines: []string{"want a refusal, since KubeSpawner's pod can't be read: json: cannot unmarshal number into Go struct field PodSpec.spec.nodeName of type string; got a pod"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines, err := Judge(test.want, test.got)
			require.NoError(t, err)
			assert.Equal(t, test.lines, lines)
		})
	}
}

// An exemption is exact: it explains just its own difference, and there has to be one.
func TestExemptions(t *testing.T) {
	const identity = "identity-not-overridden"
	explained := `metadata.labels[hub.jupyter.org/username]: want "a", got "b"`
	assert.Empty(t, afterExemption([]string{explained}, Fitted{}, identity))
	assert.Equal(t, []string{"spec.x: differs"}, afterExemption([]string{explained, "spec.x: differs"}, Fitted{}, identity))
	assert.NotEmpty(t, afterExemption(nil, Fitted{}, identity))
	assert.NotEmpty(t, afterExemption([]string{"want a refusal"}, Fitted{Pod: []byte("{}")}, "no-image"))
	assert.Empty(t, afterExemption([]string{"want a pod"}, Fitted{Refused: []string{"no"}}, "no-image"))
	assert.NotEmpty(t, afterExemption([]string{explained}, Fitted{}, "no-such-exemption"))
	names := map[string]bool{}
	for _, e := range Exemptions() {
		assert.False(t, names[e.Name], "two exemptions are called %s", e.Name)
		names[e.Name] = true
		assert.NotEmpty(t, e.Upstream, e.Name)
		assert.NotEmpty(t, e.Instead, e.Name)
	}
}
