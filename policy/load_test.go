package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const header = "apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: p, namespace: research}\n"

func TestDecodeRefusesWithFileAndPath(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown field":     {header + "spec: {defalts: {}}", `bad.yaml: SpawnPolicy research/p: spec.defalts: Invalid value: "defalts": unknown field; did you mean defaults?`},
		"unknown setting":   {header + "spec: {defaults: {imagee: x}}", `bad.yaml: SpawnPolicy research/p: spec.defaults.imagee: Invalid value: "imagee": unknown field; did you mean image?`},
		"null":              {header + "spec: {defaults: {memLimit: null}}", "bad.yaml: SpawnPolicy research/p: spec.defaults.memLimit: Invalid value: null: null is not a value here: leave the field out, or name it in the block's unset"},
		"null deep down":    {header + "spec: {defaults: {volumes: {a: {emptyDir: null}}}}", "bad.yaml: SpawnPolicy research/p: spec.defaults.volumes.a.emptyDir: Invalid value: null"},
		"doubled key":       {header + "spec: {priority: 1, priority: 2}", `key "priority" already set in map`},
		"another kind":      {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}", `bad.yaml: apiVersion: is "v1", must be "slipway.dev/v1alpha1"`},
		"unknown kind":      {"apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicies\nmetadata: {name: p}", `bad.yaml: kind: is "SpawnPolicies"`},
		"no name":           {"apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nspec: {}", "bad.yaml: metadata.name: is missing"},
		"wrong type":        {header + "spec: {priority: high}", `bad.yaml: SpawnPolicy research/p: spec.priority: Invalid value: "high": must be a whole number`},
		"tabs":              {header + "spec:\n\tpriority: 1", "bad.yaml: yaml: line 5: found character that cannot start any token (YAML is indented with spaces, never with tabs)"},
		"quantity":          {header + "spec: {defaults: {memLimit: 4 Gigs}}", `bad.yaml: SpawnPolicy research/p: spec.defaults.memLimit: Invalid value: "4 Gigs": must be a quantity such as 2, 500m or 4Gi`},
		"quantity in a map": {header + "spec: {constraints: {memLimit: {max: lots}}}", `bad.yaml: SpawnPolicy research/p: spec.constraints.memLimit.max: Invalid value: "lots": must be a quantity`},
		"map for list":      {header + "spec: {profiles: [{slug: a, settings: {args: {a: b}}}]}", `bad.yaml: SpawnPolicy research/p: spec.profiles[0].settings.args: Invalid value: "{\"a\":\"b\"}": must be a list`},
		"a List of no list": {"apiVersion: v1\nkind: List\nitems: {a: b}", "bad.yaml: items: must be a list of policies"},
		"second of several": {header + "spec: {}\n---\n" + header + "spec: {nope: 1}", `bad.yaml: document 2: SpawnPolicy research/p: spec.nope: Invalid value: "nope": unknown field`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Decode("bad.yaml", []byte(tc.text))
			require.ErrorContains(t, err, tc.want)
			assert.Empty(t, p, "nothing is half-read")
		})
	}
}

func TestDecodeGivesAllErrorsAtOnce(t *testing.T) {
	_, err := Decode("bad.yaml", []byte(header+"spec: {priority: high, defaults: {memLimit: 4 Gigs, args: {}}}"))
	for _, want := range []string{"spec.priority", "spec.defaults.memLimit", "spec.defaults.args"} {
		require.ErrorContains(t, err, want)
	}
	_, err = Decode("bad.yaml", []byte(header+"spec: {nope: 1, defaults: {alsoNope: 2}}\n---\n"+header+"spec: {defaults: {image: null}}"))
	require.Error(t, err)
	for _, want := range []string{"spec.nope", "spec.defaults.alsoNope", "document 2: SpawnPolicy research/p: spec.defaults.image"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestDecodeReadsListsAndSkipsComments(t *testing.T) {
	p, err := Decode("ok.yaml", []byte("# only a comment\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: slipway.dev/v1alpha1, kind: ClusterSpawnPolicy, metadata: {name: a}, spec: {}}\n---\n"+header+"spec: {}"))
	require.NoError(t, err)
	assert.Len(t, p.Cluster, 1)
	assert.Len(t, p.Namespaced, 1)
}

// A policy of one line that fills the reader's buffer must not be lost.
func TestDecodeReadsALastLineOfAnyLength(t *testing.T) {
	const start, end = `{"apiVersion":"slipway.dev/v1alpha1","kind":"SpawnPolicy","metadata":{"name":"p"},"spec":{"users":["`, `"]}}`
	for _, length := range []int{4095, 4096, 4097, 8192, 65536} {
		text := start + strings.Repeat("x", length-len(start)-len(end)) + end
		p, err := Decode("long.json", []byte(text))
		require.NoError(t, err)
		assert.Len(t, p.Namespaced, 1, length)
	}
}

// Every fragment is decoded strictly: the API server would drop a misspelt field without a word.
func TestCompileNamesThePathOfEveryFault(t *testing.T) {
	for name, tc := range map[string]struct{ spec, field, message string }{
		"misspelt mount":          {"{defaults: {volumeMounts: [{name: h, mountPaht: /home}]}}", "spec.defaults.volumeMounts[0].mountPaht", "did you mean mountPath?"},
		"misspelt in map":         {"{defaults: {volumes: {home: {persistentVolumeClaims: {claimName: x}}}}}", "spec.defaults.volumes[home].persistentVolumeClaims", "did you mean persistentVolumeClaim?"},
		"misspelt deep":           {"{enforced: {extraContainers: [{name: x, volumeMount: []}]}}", "spec.enforced.extraContainers[0].volumeMount", "did you mean volumeMounts?"},
		"misspelt pod field":      {"{defaults: {extraPodConfig: {hostNetwrok: true}}}", "spec.defaults.extraPodConfig.hostNetwrok", "did you mean hostNetwork?"},
		"case counts":             {"{defaults: {extraPodConfig: {hostnetwork: true}}}", "spec.defaults.extraPodConfig.hostnetwork", "unknown field"},
		"wrong type":              {"{defaults: {initContainers: [{name: 5}]}}", "spec.defaults.initContainers[0].name", "must be text"},
		"dict for list":           {"{defaults: {imagePullSecrets: {name: x}}}", "spec.defaults.imagePullSecrets", "must be a list"},
		"one mount as the map":    {"{defaults: {volumeMounts: {name: h, mountPath: /home}}}", "spec.defaults.volumeMounts[mountPath]", "must be an object"},
		"number in environment":   {"{defaults: {environment: {A: 1}}}", "spec.defaults.environment[A]", "must be text"},
		"two variables of a name": {"{defaults: {environment: {A: x, B: {name: A, value: w}}}}", "spec.defaults.environment[B]", "the same variable as spec.defaults.environment[A]"},
		"two volumes of a name":   {"{defaults: {volumes: [{name: a}, {name: a}]}}", "spec.defaults.volumes[1]", "the same thing as spec.defaults.volumes[0]"},
		"unknown placeholder":     {"{defaults: {extraLabels: {x: '{usrname}'}}}", "spec.defaults.extraLabels.x", "unknown placeholder {usrname}"},
		"pod name in itself":      {"{defaults: {podNameTemplate: 'x-{pod_name}'}}", "spec.defaults.podNameTemplate", "unknown placeholder {pod_name}"},
		"unset nothing":           {"{defaults: {unset: [nodeSelecter]}}", "spec.defaults.unset[0]", "did you mean nodeSelector?"},
		"container renamed":       {"{defaults: {extraContainerConfig: {name: nb}}}", "spec.defaults.extraContainerConfig.name", "always called notebook"},
		"priority by hand":        {"{defaults: {extraPodConfig: {priority: 5}}}", "spec.defaults.extraPodConfig.priority", "computes it"},
		"cluster-only field":      {"{groupMap: {staff: [alice]}}", "spec.groupMap", "belongs to a ClusterSpawnPolicy"},
		"cluster-only selector":   {"{namespaceSelector: {}}", "spec.namespaceSelector", "belongs to a ClusterSpawnPolicy"},
		"bad regex":               {"{profiles: [{slug: a, options: {x: {unlistedChoice: {validationRegex: '('}}}}]}", "spec.profiles[0].options[x].unlistedChoice.validationRegex", "RE2 syntax: error parsing regexp: missing closing )"},
		"regex out of brackets":   {"{profiles: [{slug: a, options: {x: {unlistedChoice: {validationRegex: 'ok)|(?:'}}}}]}", "spec.profiles[0].options[x].unlistedChoice.validationRegex", "unexpected )"},
		"two profiles of a slug":  {"{profiles: [{slug: a}, {slug: a}]}", "spec.profiles[1].slug", "the same slug as spec.profiles[0]: give one of them another"},
		"option without choices":  {"{profiles: [{slug: a, options: {x: {}}}]}", "spec.profiles[0].options[x].choices", "needs choices"},
		"fault in a choice":       {"{profiles: [{slug: a, options: [{name: x, choices: {b: {settings: {volumes: [{nmae: z}]}}}}]}]}", "spec.profiles[0].options[0].choices[b].settings.volumes[0].nmae", "did you mean name?"},
		"constraint without max":  {"{constraints: {memLimit: {}}}", "spec.constraints.memLimit.max", "Required value"},
		"pod security level":      {"{constraints: {podSecurity: strict}}", "spec.constraints.podSecurity", "Unsupported value"},
	} {
		t.Run(name, func(t *testing.T) {
			c := Compile(decoded(t, header+"spec: "+tc.spec))
			errs := c.Errors()
			require.NotEmpty(t, errs)
			assert.Equal(t, tc.field, errs[0].Field)
			assert.Contains(t, errs[0].Message, tc.message)
			in := aliceIn("research")
			d := denied(t, c, in)
			assert.Equal(t, PolicyInvalid, d[0].Code, "an invalid policy denies the pods that it matches")
		})
	}
}

// Files can't hold null; on the server, fields without a schema can.
func TestCompileRefusesNullInAFragment(t *testing.T) {
	p := decoded(t, header+"spec: {defaults: {extraPodConfig: {dnsPolicy: Default}}}")
	p.Namespaced[0].Spec.Defaults.ExtraPodConfig.Raw = []byte(`{"dnsPolicy":null}`)
	errs := Compile(p).Errors()
	require.Len(t, errs, 1)
	assert.Equal(t, "spec.defaults.extraPodConfig.dnsPolicy", errs[0].Field)
	assert.Contains(t, errs[0].Message, "unset")
}

// YAML ends lines in more ways than one.
func TestAPolicyBehindACommentIsRead(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		p, err := Decode("p.yaml", []byte(strings.ReplaceAll("# a comment\n"+header+"spec: {}\n", "\n", end)))
		require.NoError(t, err)
		assert.Len(t, p.Namespaced, 1, "%q", end)
	}
	p, err := Decode("p.yaml", []byte("# nothing\n\n---\n# but comments\n"))
	require.NoError(t, err)
	assert.Empty(t, p)
}
