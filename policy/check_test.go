package policy

import (
	"fmt"
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

// found checks one policy of a text, in namespace research.
func found(t *testing.T, text string, ref PolicyRef) Findings {
	t.Helper()
	in := aliceIn("research")
	return Compile(decoded(t, text)).Check(ref, Surroundings{Namespaces: []Namespace{in.Namespace}})
}

// What works must not be refused.
func TestGoodPoliciesAreAdmitted(t *testing.T) {
	files, err := filepath.Glob("testdata/*.policy.yaml")
	require.NoError(t, err)
	examples, err := filepath.Glob("examples/*.yaml")
	require.NoError(t, err)
	texts := map[string]string{"baseline": baseline, "profiles": profiles, "keep": keeping}
	for _, file := range append(files, examples...) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[file] = string(data)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			c := Compile(decoded(t, text))
			for _, ref := range c.Refs() {
				assert.Empty(t, c.Check(ref, Surroundings{}).Errors, ref)
			}
		})
	}
}

func TestTheExamplesFitTogether(t *testing.T) {
	all := ""
	for _, name := range []string{"data101", "platform"} {
		data, err := os.ReadFile("examples/" + name + ".yaml")
		require.NoError(t, err)
		all += string(data) + "\n---\n"
	}
	c := Compile(decoded(t, all))
	for _, ref := range c.Refs() {
		f := c.Check(ref, Surroundings{Namespaces: []Namespace{{Name: "data101", Labels: map[string]string{"tier": "teaching"}}}})
		assert.Empty(t, f.Errors)
	}
}

var (
	refN = PolicyRef{Namespace: "research", Name: "n"}
	refC = PolicyRef{Name: "c"}
)

func TestDoubtfulThingsAreAdmittedWithAWarning(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		ref  PolicyRef
		want string
	}{
		"privileged": {baseline + namespaced("n", "{defaults: {privileged: true, allowPrivilegeEscalation: true}}"), refN, "spec.defaults.privileged: a privileged container"},
		"privileged sidecar": {
			baseline + namespaced("n", "{defaults: {extraContainers: [{name: a, image: 'a:1', securityContext: {privileged: true}}]}}"), refN,
			"spec.defaults.extraContainers[0].securityContext.privileged: a privileged",
		},
		"node's folder":         {baseline + namespaced("n", "{profiles: [{slug: a, settings: {volumes: {d: {hostPath: {path: /data}}}}}]}"), refN, "spec.profiles[0].settings.volumes.d.hostPath: a folder of the node"},
		"latest":                {baseline + namespaced("n", "{enforced: {image: 'quay.io:5000/a/b:latest'}}"), refN, `spec.enforced.image: image "quay.io:5000/a/b:latest" may be another one tomorrow`},
		"no tag":                {baseline + namespaced("n", "{defaults: {image: 'quay.io:5000/a/b'}}"), refN, "name a tag other than latest"},
		"in a choice":           {baseline + namespaced("n", "{profiles: [{slug: a, options: {i: {choices: {b: {settings: {image: b}}}}}}]}"), refN, "spec.profiles[0].options[i].choices[b].settings.image: "},
		"nobody in groups":      {baseline + clusterwide("m", "{groupMap: {staff: [bob]}}") + namespaced("n", "{profiles: [{slug: a, allowedGroups: [students]}]}"), refN, "spec.profiles[0]: nobody can choose it"},
		"nobody among users":    {baseline + namespaced("n", "{users: ['student-*'], profiles: [{slug: a, allowedUsers: [prof]}]}"), refN, "spec.profiles[0]: nobody can choose it"},
		"groups nobody may say": {namespaced("n", "{launchers: [{serviceAccount: {namespace: j, name: h}, mayAssertGroups: ['course-*']}], profiles: [{slug: a, allowedGroups: [staff]}]}"), refN, "spec.profiles[0].allowedGroups: nobody can choose it"},
		"list over map": {
			baseline + clusterwide("c", "{defaults: {volumes: {home: {emptyDir: {}}}}}") + namespaced("n", "{defaults: {volumes: [{name: data, emptyDir: {}}]}}"), refN,
			"spec.defaults.volumes: this list hides ClusterSpawnPolicy c, spec.defaults.volumes[home]: write a map to have both",
		},
		"hidden by a list": {
			baseline + clusterwide("c", "{defaults: {volumes: {home: {emptyDir: {}}}}}") + namespaced("n", "{defaults: {volumes: [{name: data, emptyDir: {}}]}}"), refC,
			"spec.defaults.volumes[home]: is hidden by the list of SpawnPolicy research/n, spec.defaults.volumes",
		},
		"home is lost": {
			baseline + namespaced("n", "{defaults: {volumes: {home: {persistentVolumeClaim: {claimName: h}}}, volumeMounts: {home: {mountPath: /home/jovyan}}},"+
				" profiles: [{slug: a}, {slug: gpu, settings: {volumes: [{name: data, emptyDir: {}}], volumeMounts: [{name: data, mountPath: /data}]}}]}"), refN,
			"spec.profiles[1]: loses the home at /home/jovyan",
		},
		"bound that nobody keeps": {clusterwide("c", "{constraints: {memLimit: {max: 8Gi}}}"), refC, "spec.constraints: denies servers in a namespace without SpawnPolicies: spec.containers[notebook].resources.limits[memory]: is missing"},
		"bound below a namespace's": {
			clusterwide("c", "{defaults: {memLimit: 1Gi}, constraints: {memLimit: {max: 8Gi}}}") + namespaced("n", "{defaults: {memLimit: 16Gi}}"), refC,
			"spec.constraints: denies servers in namespace research: spec.containers: all containers together have 16Gi",
		},
		"limit below a namespace's guarantee": {
			clusterwide("c", "{enforced: {memLimit: 1Gi}}") + namespaced("n", "{defaults: {memGuarantee: 2Gi}}"), refC,
			"spec.enforced.memLimit: in namespace research: 2Gi of memory are guaranteed and 1Gi is the limit",
		},
		"a fact that the sample lacks":       {baseline + namespaced("n", `{expressions: {uid: "int(user.annotations['uid'])"}}`), refN, "user alice would be denied: SpawnPolicy research/n: spec.expressions[uid]"},
		"a size that the sample lacks":       {baseline + namespaced("n", `{expressions: {image: "user.annotations[?'image'].orValue('')"}}`), refN, "spec.expressions[image]: user alice would get no server: the pod's spec.containers[notebook].image: the container has no image"},
		"a validation that the sample fails": {baseline + namespaced("n", `{validations: [{expression: "'team' in user.annotations", message: no team}]}`), refN, "no team"},
		"text that nobody can type":          {baseline + namespaced("n", "{profiles: [{slug: a, options: {m: {unlistedChoice: {validationRegex: 'v1\\.0', settings: {memLimit: '{value}'}}}}}]}"), refN, "no text was found that a user could type here"},
	} {
		t.Run(name, func(t *testing.T) {
			f := found(t, tc.text, tc.ref)
			assert.Empty(t, f.Errors)
			assert.Contains(t, strings.Join(f.Warnings, "\n"), tc.want)
		})
	}
}

func TestNothingDoubtfulGivesNoWarning(t *testing.T) {
	for name, text := range map[string]string{
		"digest":         baseline + namespaced("n", "{defaults: {image: 'a@sha256:0123'}}"),
		"tag":            baseline + namespaced("n", "{defaults: {image: 'localhost:5000/a:1'}}"),
		"typed image":    baseline + namespaced("n", "{profiles: [{slug: a, options: {i: {choices: {b: {}}, unlistedChoice: {settings: {image: '{value}'}}}}}]}"),
		"group":          baseline + namespaced("n", "{profiles: [{slug: a}, {slug: b, allowedGroups: [staff]}]}"),
		"mapped group":   baseline + clusterwide("m", "{groupMap: {staff: [bob]}}") + namespaced("n", "{profiles: [{slug: a}, {slug: b, allowedGroups: [staff]}]}"),
		"some users":     baseline + namespaced("n", "{users: ['staff-*'], profiles: [{slug: a, allowedUsers: ['*-x']}]}"),
		"maps together":  baseline + clusterwide("c", "{defaults: {volumes: {home: {emptyDir: {}}}}}") + namespaced("n", "{defaults: {volumes: {data: {emptyDir: {}}}}}"),
		"never escalate": baseline + namespaced("n", "{enforced: {privileged: false}}"),
		"typed size":     baseline + namespaced("n", "{profiles: [{slug: a, options: {m: {choices: {b: {}}, unlistedChoice: {settings: {memLimit: '{value}'}}}}}]}"),
		"needs hub":      namespaced("n", "{defaults: {extraLabels: {hub: '{hubnamespace}'}}}"),
		"user spaces":    baseline + namespaced("n", "{defaults: {enableUserNamespaces: true}}"),
	} {
		t.Run(name, func(t *testing.T) {
			f := found(t, text, refN)
			assert.Empty(t, f.Errors)
			assert.Empty(t, f.Warnings)
		})
	}
}

// Nobody could mend anything if others' faults were in the way.
func TestFaultsOfOthersDontBlock(t *testing.T) {
	for name, others := range map[string]string{
		"invalid":      namespaced("o", "{defaults: {workingDir: '{nobody}'}}"),
		"unbuildable":  namespaced("o", "{defaults: {volumeMounts: {x: {mountPath: /x}}}}"),
		"conflicting":  namespaced("o", "{profiles: [{slug: a}]}") + namespaced("q", "{profiles: [{slug: a}]}"),
		"out of bound": clusterwide("c", "{constraints: {image: {allow: [x]}}}"),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Empty(t, found(t, baseline+others+namespaced("n", "{defaults: {memGuarantee: 1Gi}}"), refN).Errors)
		})
	}
}

// An audited policy is to become an enforced one, and is judged so; beside others it isn't there yet.
func TestAuditedPoliciesAreJudgedAsIfEnforced(t *testing.T) {
	audited := namespaced("n", "{enforcement: Audit, defaults: {volumeMounts: {x: {mountPath: /x}}}, profiles: [{slug: a}]}")
	assert.NotEmpty(t, found(t, baseline+audited, refN).Errors)
	assert.Empty(t, found(t, baseline+audited+namespaced("o", "{profiles: [{slug: a}]}"), PolicyRef{Namespace: "research", Name: "o"}).Errors)
}

// What a mutation makes of the pod is held against the API server's rules too.
func TestAMutationThatMakesNoPodIsRefused(t *testing.T) {
	f := found(t, baseline+namespaced("n", `{mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'add', path: '/spec/nodeSelector', value: {'a b': 'c'}}]"}]}`), refN)
	require.NotEmpty(t, f.Errors)
	assert.Equal(t, "spec.mutations", f.Errors[0].Field)
	assert.Contains(t, f.Errors[0].Message, "the pod's spec.nodeSelector[a b]: ")
}

func TestAPolicyTakesThePlaceOfTheOneOfItsName(t *testing.T) {
	c := Compile(decoded(t, baseline+namespaced("n", "{defaults: {workingDir: '{nobody}'}}")))
	require.NotEmpty(t, c.Errors())
	c = c.With(decoded(t, namespaced("n", "{defaults: {workingDir: /home}}")))
	require.Empty(t, c.Errors())
	assert.Equal(t, "/home", notebook(fitted(t, c, aliceIn("research")).Pod).WorkingDir)
}

func TestWhatTakesTooLongIsAdmittedWithAWarning(t *testing.T) {
	c := Compile(decoded(t, baseline+namespaced("n", "{profiles: [{slug: a}]}")))
	f := c.Check(refN, Surroundings{TimeIsUp: func() bool { return true }})
	assert.Empty(t, f.Errors)
	assert.Contains(t, strings.Join(f.Warnings, "\n"), "more choices than are tried (0 servers)")
}

// Labels of a namespace decide on what its policies meet; where they aren't known, a contradiction is only possible.
func TestAContradictionThatOnlyMayBeIsAWarning(t *testing.T) {
	c := Compile(decoded(t, baseline+clusterwide("c", "{namespaceSelector: {matchLabels: {tier: teaching}}, profiles: [{slug: gpu}]}")+namespaced("n", "{profiles: [{slug: gpu}]}")))
	f := c.Check(refN, Surroundings{})
	assert.Empty(t, f.Errors)
	assert.Contains(t, strings.Join(f.Warnings, "\n"), `tier=teaching: profile "gpu" is also in ClusterSpawnPolicy c`)
	f = c.Check(refN, Surroundings{Namespaces: []Namespace{{Name: "research", Labels: map[string]string{"tier": "teaching"}}}})
	assert.NotEmpty(t, f.Errors)
	f = c.Check(refN, Surroundings{Namespaces: []Namespace{{Name: "research"}}})
	assert.Empty(t, f.Errors)
	assert.Empty(t, f.Warnings)
}

// A namespace must not keep the platform from writing its policies, least of all from taking something away from it.
func TestANamespaceCantKeepThePlatformFromWriting(t *testing.T) {
	for name, tc := range map[string]struct{ namespaces, platforms, want string }{
		"slug":      {"{profiles: [{slug: gpu}]}", "{profiles: [{slug: gpu}]}", `spec.profiles[0].slug: in namespace research, where servers are denied then: profile "gpu" is also in SpawnPolicy research/n`},
		"list":      {"{defaults: {tolerations: [{key: a, operator: Exists}]}}", "{enforced: {tolerations: {b: {key: b, operator: Exists}}}}", "SpawnPolicy research/n"},
		"additions": {"{additions: {mode: Listed, names: [x]}}", "{skeleton: Keep}", "spec.skeleton: in namespace research, where servers are denied then: SpawnPolicy research/n"},
		"profiles":  {"{profiles: [{slug: mine}]}", "{skeleton: Keep}", "spec.skeleton: in namespace research, where servers are denied then: SpawnPolicy research/n"},
	} {
		t.Run(name, func(t *testing.T) {
			text := clusterwide("c", tc.platforms) + namespaced("n", tc.namespaces)
			f := found(t, text, refC)
			assert.Empty(t, f.Errors)
			assert.Contains(t, strings.Join(f.Warnings, "\n"), tc.want)
			assert.NotEmpty(t, found(t, text, refN).Errors, "the namespace's own is refused when it is written")
		})
	}
	// What ClusterSpawnPolicies contradict among themselves is refused all the same.
	f := found(t, clusterwide("c", "{profiles: [{slug: gpu}]}")+clusterwide("d", "{namespaceSelector: {matchLabels: {tier: research}}, profiles: [{slug: gpu}]}")+
		namespaced("n", "{profiles: [{slug: gpu}]}"), refC)
	assert.NotEmpty(t, f.Errors)
	assert.Contains(t, f.Errors[0].Message, "ClusterSpawnPolicy d")
}

// An expression that fails with all users who are tried, and asks nothing about any, fails with everybody.
func TestAnExpressionThatFailsForEverybodyIsRefused(t *testing.T) {
	for spec, want := range map[string]string{
		"{validations: [{expression: 'false', message: nope}]}":                                                        "spec.validations[0].expression: fails for everybody: nope",
		`{validations: [{expression: "object.metadata.labels['nope'] == 'x'"}]}`:                                       "spec.validations[0].expression: fails for everybody: ",
		`{mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'remove', path: '/spec/nodeSelector/a'}]"}]}`: "spec.mutations[0]",
	} {
		f := found(t, baseline+namespaced("n", spec), refN)
		if assert.Len(t, f.Errors, 1, spec) {
			assert.Contains(t, f.Errors[0].Field+": "+f.Errors[0].Message, want)
			assert.NotContains(t, strings.Join(f.Warnings, "\n"), f.Errors[0].Field)
		}
	}
	for name, text := range map[string]string{
		"of users":       namespaced("n", `{validations: [{expression: "user.name.startsWith('student-')"}]}`),
		"of a name":      namespaced("n", `{validations: [{expression: "object.metadata.name.startsWith('x')"}]}`),
		"of the hub's":   namespaced("n", `{skeleton: Keep, validations: [{expression: "has(object.spec.priorityClassName)"}]}`),
		"of computed":    namespaced("n", `{expressions: {"extraLabels[a]": "user.annotations[?'team'].orValue('none')"}, validations: [{expression: "object.metadata.labels['a'] != 'none'"}]}`),
		"of one profile": namespaced("n", `{profiles: [{slug: a}, {slug: b, settings: {extraLabels: {l: m}}}], validations: [{expression: "'l' in object.metadata.labels"}]}`),
	} {
		f := found(t, baseline+text, refN)
		assert.Empty(t, f.Errors, name)
		assert.NotEmpty(t, f.Warnings, name)
	}
	// What all want of a pod, namespaces may give; that nobody gives it yet is no error of the platform's.
	f := found(t, clusterwide("c", `{validations: [{expression: "'team' in object.metadata.labels"}]}`), refC)
	assert.Empty(t, f.Errors)
	assert.NotEmpty(t, f.Warnings)
	assert.NotEmpty(t, found(t, clusterwide("c", "{validations: [{expression: 'false'}]}"), refC).Errors)
}

// Which of two policies of the cluster is written last must not decide on whether their contradiction is found.
func TestContradictionsOfClusterPoliciesAreFoundInAnyOrder(t *testing.T) {
	everywhere, teaching := clusterwide("c", "{profiles: [{slug: gpu}]}"), clusterwide("d", "{namespaceSelector: {matchLabels: {tier: teaching}}, profiles: [{slug: gpu}]}")
	refD := PolicyRef{Name: "d"}
	for _, ref := range []PolicyRef{refC, refD} {
		assert.NotEmpty(t, found(t, everywhere+teaching, ref).Errors, ref)
	}
	team := clusterwide("c", "{namespaceSelector: {matchLabels: {team: x}}, profiles: [{slug: gpu}]}")
	for _, ref := range []PolicyRef{refC, refD} {
		f := found(t, team+teaching, ref)
		assert.Empty(t, f.Errors, ref)
		assert.Contains(t, strings.Join(f.Warnings, "\n"), "in a namespace with labels team=x,tier=teaching: profile", ref)
	}
	both := Namespace{Name: "data", Labels: map[string]string{"team": "x", "tier": "teaching"}}
	assert.NotEmpty(t, Compile(decoded(t, team+teaching)).Check(refC, Surroundings{Namespaces: []Namespace{both}}).Errors)
	other := clusterwide("c", "{namespaceSelector: {matchLabels: {tier: research}}, profiles: [{slug: gpu}]}")
	f := found(t, other+teaching, refC)
	assert.Empty(t, f.Errors)
	assert.Empty(t, f.Warnings, "no namespace has both")
}

// A broken profile is found before odd users of those before it are tried.
func TestOrdinaryUsersAreTriedFirst(t *testing.T) {
	var profiles strings.Builder
	const most = 64
	for i := range most {
		fmt.Fprintf(&profiles, "{slug: p%d}, ", i)
	}
	c := Compile(decoded(t, baseline+namespaced("n", "{profiles: ["+profiles.String()+"{slug: bad, settings: {memGuarantee: 2Gi, memLimit: 1Gi}}]}")))
	asked := 0
	f := c.Check(refN, Surroundings{Namespaces: []Namespace{aliceIn("research").Namespace}, TimeIsUp: func() bool { asked++; return asked > most+4 }})
	require.NotEmpty(t, f.Errors)
	assert.Equal(t, "spec.profiles[64].settings.memGuarantee", f.Errors[0].Field)
	assert.Contains(t, strings.Join(f.Warnings, "\n"), "what comes after spec.profiles[")
	assert.Contains(t, strings.Join(f.Warnings, "\n"), "for unusual users")
}
