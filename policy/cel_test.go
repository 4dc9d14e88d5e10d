package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// knowing is alice with facts about her.
func knowing(annotations map[string]string) Input {
	in := aliceIn("research")
	in.Identity.Groups = []string{"staff"}
	in.Identity.UserAnnotations = annotations
	return in
}

func TestExpressionsComputeSettings(t *testing.T) {
	for name, test := range map[string]struct {
		spec string
		see  func(*corev1.Pod) any
		want any
	}{
		"a number": {`{expressions: {uid: "int(user.annotations['uid'])"}}`, func(p *corev1.Pod) any { return *notebook(p).SecurityContext.RunAsUser }, int64(1001)},
		"text":     {`{expressions: {image: "'registry.example/' + hub.name + ':' + user.name"}}`, func(p *corev1.Pod) any { return notebook(p).Image }, "registry.example/main:alice"},
		"nothing said, by optional": {
			`{defaults: {image: fallback}, expressions: {image: "'x' in groups ? optional.of('x') : optional.none()"}}`,
			func(p *corev1.Pod) any { return notebook(p).Image }, "fallback",
		},
		"a quantity":            {`{expressions: {memLimit: "'staff' in groups ? '8Gi' : '1Gi'"}}`, func(p *corev1.Pod) any { return notebook(p).Resources.Limits.Memory().String() }, "8Gi"},
		"a quantity of numbers": {`{expressions: {cpuLimit: "0.5 * 3.0"}}`, func(p *corev1.Pod) any { return notebook(p).Resources.Limits.Cpu().String() }, "1500m"},
		"one variable":          {`{defaults: {environment: {A: "{username}"}}, expressions: {"environment[B]": "user.name + '!'"}}`, func(p *corev1.Pod) any { return envOf(p)["A"] + envOf(p)["B"] }, "alicealice!"},
		"braces stay as they are": {
			`{expressions: {"environment[B]": "'{username}' + server.name", defaultUrl: "'/lab/{unescaped_username}'"}}`,
			func(p *corev1.Pod) any { return envOf(p)["B"] + envOf(p)["JUPYTERHUB_DEFAULT_URL"] }, "{username}/lab/{unescaped_username}",
		},
		"a map over a map": {`{defaults: {nodeSelector: {a: b}}, expressions: {nodeSelector: "{'pool': 'gpu'}"}}`, func(p *corev1.Pod) any { return p.Spec.NodeSelector }, map[string]string{"a": "b", "pool": "gpu"}},
		"a list":           {`{expressions: {supplementalGids: "user.annotations['gids'].split(',').map(g, int(g))"}}`, func(p *corev1.Pod) any { return p.Spec.SecurityContext.SupplementalGroups }, []int64{100, 200}},
		"a structure": {
			`{expressions: {"volumes[data]": "{'persistentVolumeClaim': {'claimName': 'data-' + user.name}}"}}`,
			func(p *corev1.Pod) any {
				return p.Spec.Volumes[0].Name + " " + p.Spec.Volumes[0].PersistentVolumeClaim.ClaimName
			}, "data data-alice",
		},
		"what is enforced wins": {`{expressions: {uid: "0"}, enforced: {uid: 1000}}`, func(p *corev1.Pod) any { return *notebook(p).SecurityContext.RunAsUser }, int64(1000)},
		"an enforced item wins": {
			`{expressions: {nodeSelector: "{'pool': 'gpu', 'zone': 'b'}"}, enforced: {nodeSelector: {pool: users}}}`,
			func(p *corev1.Pod) any { return p.Spec.NodeSelector }, map[string]string{"pool": "users", "zone": "b"},
		},
		"a profile gives way": {
			`{profiles: [{slug: big, settings: {memLimit: 4Gi}}], expressions: {memLimit: "profile == 'big' ? '16Gi' : '1Gi'"}}`,
			func(p *corev1.Pod) any { return notebook(p).Resources.Limits.Memory().String() }, "16Gi",
		},
		"choices are known, defaults too": {
			`{profiles: [{slug: big, options: [{name: image, choices: [{name: torch}, {name: r}]}]}], expressions: {"environment[IMG]": "options['image']"}}`,
			func(p *corev1.Pod) any { return envOf(p)["IMG"] }, "torch",
		},
		"a slug for what is named after the user": {`{expressions: {serviceAccount: "'user-' + user.slug"}}`, func(p *corev1.Pod) any { return p.Spec.ServiceAccountName }, "user-alice"},
		"the pod's own name":                      {`{expressions: {podNameTemplate: "'nb-' + user.name"}}`, func(p *corev1.Pod) any { return p.Name }, "nb-alice"},
	} {
		t.Run(name, func(t *testing.T) {
			c := compiled(t, baseline+namespaced("course", test.spec))
			in := knowing(map[string]string{"uid": "1001", "gids": "100,200"})
			r := fitted(t, c, in)
			assert.Equal(t, test.want, test.see(r.Pod))
			assert.Empty(t, verify(t, c, in, asStored(t, r.Pod)))
		})
	}
}

// The cluster has the last word, as with mutations and with what is enforced.
func TestTheClustersExpressionComesLast(t *testing.T) {
	c := compiled(t, baseline+clusterwide("c", `{expressions: {image: "'cluster'"}}`)+namespaced("n", `{defaults: {image: a}, expressions: {image: "'namespace'"}}`))
	in := aliceIn("research")
	in.Provenance = true
	r := fitted(t, c, in)
	assert.Equal(t, "cluster", notebook(r.Pod).Image)
	for _, o := range r.Provenance {
		if o.Setting == "image" {
			assert.Equal(t, "expression ClusterSpawnPolicy c spec.expressions[image]", fmt.Sprint(o.Layer, " ", o.Policy, " ", o.Path))
			assert.Equal(t, "spec.expressions[image]", o.Overrode[0].Path)
			assert.Equal(t, "spec.defaults.image", o.Overrode[1].Path)
		}
	}
}

func TestExpressionsThatHaveNoValueDeny(t *testing.T) {
	for spec, want := range map[string]string{
		`{expressions: {uid: "int(user.annotations['uid'])"}}`:                                                                      "ExpressionFailed spec.expressions[uid] no such key: uid",
		`{expressions: {uid: "int(user.name)"}}`:                                                                                    "ExpressionFailed spec.expressions[uid] int() can't read the text that it was given",
		`{expressions: {image: "dyn(5)"}}`:                                                                                          "ExpressionFailed spec.expressions[image] gave what image can't be: ",
		`{expressions: {volumes: "[{'nmae': 'x'}]"}}`:                                                                               "ExpressionFailed spec.expressions[volumes] gave what volumes[0].nmae can't be: ",
		`{expressions: {slugScheme: "user.name"}}`:                                                                                  "ExpressionFailed spec.expressions[slugScheme] gave what slugScheme can't be: Unsupported value",
		`{expressions: {tolerations: "dyn({'a': {'key': 'a'}})"}}`:                                                                  "ExpressionFailed spec.expressions[tolerations] must give a list, and gave a map",
		`{matchConditions: [{name: a, expression: "user.annotations['a'] == 'b'"}]}`:                                                "ExpressionFailed spec.matchConditions[0] no such key: a",
		`{validations: [{expression: "object.spec.nothing == 'a'"}]}`:                                                               "ExpressionFailed spec.validations[0].expression no such key: nothing",
		`{mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'replace', path: '/spec/nothing/at', value: 1}]"}]}`:       "ExpressionFailed spec.mutations[0] JSON Patch",
		`{mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'add', path: '/spec/nodeSelectr', value: {'a': 'b'}}]"}]}`: `ExpressionFailed spec.mutations[0] makes a pod that can't be read: unknown field "spec.nodeSelectr"`,
	} {
		d := denied(t, compiled(t, baseline+namespaced("course", spec)), aliceIn("research"))
		require.NotEmpty(t, d, spec)
		assert.Contains(t, fmt.Sprint(d[0].Code, " ", d[0].Field, " ", d[0].Message), want)
		assert.Equal(t, "course", d[0].Policy.Name, spec)
	}
}

// What a user wrote is no path, and no reason to write pages.
func TestWhatAnExpressionGaveIsNoField(t *testing.T) {
	in := knowing(map[string]string{"v": strings.Repeat("v", 20_000)})
	for _, spec := range []string{
		`{expressions: {volumeMounts: "{user.annotations.v: {'name': 'a'}}"}}`,
		`{expressions: {volumeMounts: "{user.annotations.v: {'nmae': 'a'}}"}}`,
		`{defaults: {volumeMounts: {}}, expressions: {"volumeMounts": "[{'name': user.annotations.v}]"}}`,
	} {
		d := denied(t, compiled(t, baseline+namespaced("n", spec)), in)
		assert.Equal(t, ExpressionFailed, d[0].Code)
		assert.Equal(t, "spec.expressions[volumeMounts]", d[0].Field)
		assert.Equal(t, "n", d[0].Policy.Name)
		assert.Less(t, len(d[0].Message), 1000)
	}
}

// The cluster's policy merged well before the namespace's expression had a value.
func TestAnExpressionIsToBlameForWhatItsValueBreaks(t *testing.T) {
	c := compiled(t, baseline+clusterwide("c", `{enforced: {tolerations: {a: {key: x}}}}`)+namespaced("n", `{expressions: {tolerations: "[{'key': 'y'}]"}}`))
	d := denied(t, c, aliceIn("research"))
	require.Len(t, d, 1)
	assert.Equal(t, ExpressionFailed, d[0].Code)
	assert.Equal(t, "SpawnPolicy research/n: spec.expressions[tolerations]: can't be merged with ClusterSpawnPolicy c, spec.enforced.tolerations: "+
		`Invalid value: "map": SpawnPolicy research/n, spec.expressions[tolerations], gives a list, and its items have no name to merge by: `+
		"write a list, which replaces it, or a map in both", d[0].String())
}

func TestExpressionsThatAreWrong(t *testing.T) {
	for spec, want := range map[string]string{
		`{expressions: {uid: "user.name"}}`:                                                 `spec.expressions[uid]: Invalid value: "user.name": must give a whole number, and gives string`,
		`{expressions: {nothing: "1"}}`:                                                     `spec.expressions[nothing]: Invalid value: "nothing": no setting is called "nothing"`,
		`{expressions: {"tolerations[a]": "1"}}`:                                            `spec.expressions[tolerations[a]]: Invalid value: "tolerations[a]": must name a setting, or one item of`,
		`{expressions: {"image[a]": "1"}}`:                                                  `must name a setting, or one item of`,
		`{expressions: {image: "object.spec.hostname"}}`:                                    "undeclared reference to 'object'",
		`{matchConditions: [{name: a, expression: "profile == 'a'"}]}`:                      `spec.matchConditions[0].expression: Invalid value: "profile == 'a'": must be a CEL expression: line 1, column 1: undeclared reference to 'profile'. The variables here are user, server, hub, groups, namespaceObject`,
		`{matchConditions: [{name: a, expression: "true"}, {name: a, expression: "true"}]}`: `spec.matchConditions[1].name: Invalid value: "a": the same name as spec.matchConditions[0]`,
		`{validations: [{expression: "object.spec"}]}`:                                      "",
		`{validations: [{expression: "user.name"}]}`:                                        `spec.validations[0].expression: Invalid value: "user.name": must give true or false, and gives string`,
		`{validations: [{expression: "true", messageExpression: "1"}]}`:                     `spec.validations[0].messageExpression: Invalid value: "1": must give text, and gives int`,
		`{mutations: [{patchType: JSONPatch, expression: "Object{}"}]}`:                     `spec.mutations[0].expression: Invalid value: "Object{}": must give a list of JSONPatch`,
		`{mutations: [{patchType: Merge, expression: "Object{}"}]}`:                         `spec.mutations[0].patchType: Unsupported value: "Merge"`,
	} {
		errs := Compile(decoded(t, baseline+namespaced("course", spec))).Errors()
		if want == "" {
			assert.Empty(t, errs, spec)
			continue
		}
		require.Len(t, errs, 1, spec)
		assert.Contains(t, errs[0].Field+": "+errs[0].Message, want)
	}
	errs := Compile(decoded(t, clusterwide("c", `{groupMap: {a: [alice]}, matchConditions: [{name: a, expression: "'a' in groups"}]}`))).Errors()
	require.Len(t, errs, 1)
	assert.Contains(t, errs[0].Message, "can't stand beside matchConditions")
}

func TestMatchConditions(t *testing.T) {
	for condition, used := range map[string]bool{
		"user.name == 'alice' && server.name == '' && hub.name == 'main'": true,
		"'staff' in groups": true,
		"namespaceObject.metadata.labels['tier'] == 'gold'": false,
		"user.annotations[?'a'].orValue('b') == 'b'":        true,
		"user.id == 8": false,
	} {
		c := compiled(t, baseline+namespaced("n", fmt.Sprintf(`{matchConditions: [{name: a, expression: "true"}, {name: b, expression: %q}], defaults: {image: used}}`, condition)))
		assert.Equal(t, used, notebook(fitted(t, c, knowing(nil)).Pod).Image == "used", condition)
	}
	// One that is false decides, whatever has no value.
	c := compiled(t, baseline+namespaced("n", `{matchConditions: [{name: a, expression: "user.annotations['x'] == ''"}, {name: b, expression: "false"}], defaults: {image: used}}`))
	assert.NotEqual(t, "used", notebook(fitted(t, c, aliceIn("research")).Pod).Image)
}

func mutating(expressions ...string) string {
	var list []string
	for _, e := range expressions {
		list = append(list, fmt.Sprintf("{patchType: JSONPatch, expression: %q}", e))
	}
	return "{mutations: [" + strings.Join(list, ", ") + "]}"
}

func adding(path, value string) string {
	return "[JSONPatch{op: 'add', path: '" + path + "', value: " + value + "}]"
}

func TestMutationsChangeTheBuiltPod(t *testing.T) {
	c := compiled(t, baseline+
		clusterwide("c", mutating(adding("/spec/hostname", "object.spec.hostname + '-cluster'")))+clusterwide("e", `{enforced: {nodeSelector: {pool: users}}}`)+
		namespaced("n", mutating(adding("/spec/hostname", "user.name"), adding("/spec/nodeSelector", "{'pool': 'mine', 'a': 'b'}"), adding("/metadata/labels/team", "'blue'"))))
	r := fitted(t, c, aliceIn("research"))
	assert.Equal(t, "alice-cluster", r.Pod.Spec.Hostname, "the cluster's come last")
	assert.Equal(t, map[string]string{"pool": "users", "a": "b"}, r.Pod.Spec.NodeSelector, "what is enforced is asserted after them")
	assert.Equal(t, "blue", r.Pod.Labels["team"])
	assert.Empty(t, verify(t, c, aliceIn("research"), asStored(t, r.Pod)))
	applied := Applied{}
	require.NoError(t, json.Unmarshal([]byte(r.Pod.Annotations[AnnotationApplied]), &applied))
	assert.Contains(t, applied.Labels, "team", "so that nobody changes it later")

	stripped := asStored(t, r.Pod)
	stripped.Spec.Hostname = ""
	assert.Equal(t, []string{"spec.hostname"}, fieldsOf(verify(t, c, aliceIn("research"), stripped)), "what a mutation made is held too")
}

// What a user is called must not be read as a template, wherever it stands.
func TestKeysOfExpressionsAreNoTemplates(t *testing.T) {
	in := knowing(map[string]string{"a": "{unescaped_username}", "b": "{nothing}", "c": "{"})
	r := fitted(t, compiled(t, baseline+namespaced("n", `{expressions: {
		volumes: "user.annotations.transformMapEntry(k, v, {v: {'emptyDir': {}}})",
		volumeMounts: "user.annotations.transformMapEntry(k, v, {v: {'mountPath': '/' + k}})"}}`)), in)
	names := []string{r.Pod.Spec.Volumes[0].Name, r.Pod.Spec.Volumes[1].Name, r.Pod.Spec.Volumes[2].Name}
	assert.ElementsMatch(t, []string{"{unescaped_username}", "{nothing}", "{"}, names)
	assert.ElementsMatch(t, names, []string{notebook(r.Pod).VolumeMounts[0].Name, notebook(r.Pod).VolumeMounts[1].Name, notebook(r.Pod).VolumeMounts[2].Name})
}

func TestMutationsCanAddToEveryList(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", mutating(
		adding("/spec/volumes/-", "{'name': dyn('x'), 'emptyDir': dyn({})}"),
		adding("/spec/containers/0/volumeMounts/-", "{'name': 'x', 'mountPath': '/x'}"),
		adding("/spec/containers/0/env/-", "{'name': 'A', 'value': 'b'}"),
		adding("/spec/tolerations/-", "{'key': 'x', 'operator': 'Exists'}"),
		adding("/spec/initContainers/-", "{'name': 'i', 'image': 'i'}"),
		adding("/spec/initContainers/0/env", "[{'name': 'A', 'value': 'b'}]"),
	)))
	r := fitted(t, c, aliceIn("research"))
	assert.Len(t, r.Pod.Spec.Volumes, 1)
	assert.Len(t, r.Pod.Spec.InitContainers[0].Env, 1)
	assert.Empty(t, verify(t, c, aliceIn("research"), asStored(t, r.Pod)))
}

func TestLabelsOfExpressionsAreGoverned(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", `{expressions: {"extraLabels[team]": "'blue'", extraAnnotations: "{'note': user.name}"}}`))
	applied := Applied{}
	require.NoError(t, json.Unmarshal([]byte(fitted(t, c, aliceIn("research")).Pod.Annotations[AnnotationApplied]), &applied))
	assert.Contains(t, applied.Labels, "team")
	assert.Contains(t, applied.Annotations, "note")
}

func TestMutationsCantSayWhoseThePodIs(t *testing.T) {
	for expression, field := range map[string]string{
		adding("/metadata/labels/slipway.dev~1hub", "'other'"):                                   "metadata.labels[slipway.dev/hub]",
		adding("/metadata/annotations/hub.jupyter.org~1username", "'bob'"):                       "metadata.annotations[hub.jupyter.org/username]",
		adding("/metadata/annotations/slipway.dev~1applied", "'x'"):                              "metadata.annotations[slipway.dev/applied]",
		adding("/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1x", "'x'"): "metadata.annotations[container.apparmor.security.beta.kubernetes.io/x]",
		adding("/metadata/name", "'x'"):                                                          "metadata.name",
		adding("/metadata/finalizers", "['x/y']"):                                                "metadata.finalizers",
		adding("/metadata/ownerReferences", "[{'name': 'x'}]"):                                   "metadata.ownerReferences",
		adding("/status", "{'phase': 'Running'}"):                                                "status",
		adding("/spec/priority", "7"):                                                            "spec.priority",
		"[JSONPatch{op: 'remove', path: '/metadata/labels'}]":                                    "metadata.labels[hub.jupyter.org/servername]",
	} {
		d := denied(t, compiled(t, baseline+namespaced("n", mutating(expression))), aliceIn("research"))
		require.Len(t, d, 1)
		assert.Equal(t, ExpressionFailed, d[0].Code)
		assert.Equal(t, "changes "+field+", which no mutation may: leave it as it is", d[0].Message)
	}
}

func TestValidationsDeny(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", `{defaults: {image: "a/b"}, validations: [
		{expression: "object.spec.containers.all(c, c.image.startsWith('quay.io/'))", message: "take an image of quay.io"},
		{expression: "false", message: other, messageExpression: "'not for ' + user.name"},
		{expression: "false"},
		{expression: "false", message: plain, messageExpression: "user.annotations['none']"},
		{expression: "object.metadata.name == 'jupyter-alice'"}]}`))
	var got []string
	for _, d := range denied(t, c, aliceIn("research")) {
		got = append(got, fmt.Sprint(d.Code, " ", d.Field, ": ", d.Message))
	}
	assert.Equal(t, []string{
		"ValidationFailed spec.validations[0].expression: take an image of quay.io",
		"ValidationFailed spec.validations[1].expression: not for alice",
		"ValidationFailed spec.validations[2].expression: failed expression: false",
		"ValidationFailed spec.validations[3].expression: plain",
	}, got)
}

// The final pod is judged, not the one that was fitted.
func TestValidationsHoldForWhatCameLater(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", `{validations: [{expression: "size(object.spec.containers) == 1", message: "one container alone"}]}`))
	pod := asStored(t, fitted(t, c, aliceIn("research")).Pod)
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "mesh", Image: "mesh"})
	d := verify(t, c, aliceIn("research"), pod)
	require.Len(t, d, 1)
	assert.Equal(t, "one container alone", d[0].Message)
}

func TestKeepComputesAndMutates(t *testing.T) {
	c := compiled(t, keeping+namespaced("n", `{enforced: {nodeSelector: {pool: users}}, expressions: {memLimit: "'3Gi'", "extraLabels[team]": "'blue'"}, mutations: [
		{patchType: JSONPatch, expression: "[JSONPatch{op: 'add', path: '/spec/hostname', value: user.name}]"},
		{patchType: ApplyConfiguration, expression: "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'notebook', env: [Object.spec.containers.env{name: 'MUTATED', value: 'yes'}]}]}}"}]}`))
	in := keptInput(t, nil)
	r := fitted(t, c, in)
	assert.Equal(t, "3Gi", notebook(r.Pod).Resources.Limits.Memory().String())
	assert.Equal(t, "alice", r.Pod.Spec.Hostname)
	assert.Equal(t, "blue", r.Pod.Labels["team"])
	assert.Equal(t, "yes", envOf(r.Pod)["MUTATED"])
	assert.Equal(t, "users", r.Pod.Spec.NodeSelector["pool"])
	assert.Empty(t, verify(t, c, in, asStored(t, r.Pod)))
}

// What each expression may cost is bounded, and what all of them may cost together.
func TestARequestHasABudget(t *testing.T) {
	spec := `{validations: [`
	for range 60 {
		spec += `{expression: "groups.all(a, groups.all(b, a != 'x' || b != 'y'))"},`
	}
	in := aliceIn("research")
	for i := range 130 {
		in.Identity.Groups = append(in.Identity.Groups, fmt.Sprintf("group-%d", i))
	}
	d := denied(t, compiled(t, baseline+namespaced("n", strings.TrimSuffix(spec, ",")+"]}")), in)
	assert.Equal(t, ExpressionFailed, d[0].Code)
	assert.Contains(t, d[0].Message, "costs too much for this server")
	assert.NotEqual(t, "spec.validations[0].expression", d[0].Field, "alone, each may cost as much")
}

// A condition without a value must not be a way past all that is enforced.
func TestAnAuditedPolicyWhoseConditionHasNoValueLetsNothingPass(t *testing.T) {
	c := compiled(t, namespaced("n", `{enforcement: Audit, skeleton: Keep, matchConditions: [{name: a, expression: "user.annotations['a'] == 'b'"}]}`))
	in := keptInput(t, nil)
	d := denied(t, c, in)
	assert.Equal(t, NoPolicy, d[0].Code)
	in.Identity.UserAnnotations = map[string]string{"a": "b"}
	r, err := c.Apply(in)
	require.NoError(t, err)
	assert.Empty(t, r.Denials)
	assert.True(t, r.Untouched)
}

func TestMutationsOfKeptPodsGiveTheSameTwice(t *testing.T) {
	for expression, refused := range map[string]bool{
		adding("/spec/initContainers/-", "{'name': 'i', 'image': 'i'}"):                                                                              true,
		"object.spec.?initContainers.orValue([]).exists(c, c.name == 'i') ? [] : " + adding("/spec/initContainers/-", "{'name': 'i', 'image': 'i'}"): false,
		"[JSONPatch{op: 'remove', path: '/spec/hostname'}]":                                                                                          true,
	} {
		in := keptInput(t, func(p *corev1.Pod) { p.Spec.Hostname = "h" })
		c := compiled(t, keeping+namespaced("n", mutating(expression)))
		if !refused {
			assert.Empty(t, verify(t, c, in, asStored(t, fitted(t, c, in).Pod)))
			continue
		}
		assert.Contains(t, denied(t, c, in)[0].Message, "ask first whether it is done")
	}
}

func TestKeepRefusesCertificatesByExpression(t *testing.T) {
	d := denied(t, compiled(t, keeping+namespaced("n", `{expressions: {internalSsl: "true"}}`)), keptInput(t, nil))
	assert.Equal(t, "spec.expressions[internalSsl]", d[0].Field)
}

// To compare one of these with another takes seconds, or hours.
func TestQuantitiesOfAFarExponentAreRefused(t *testing.T) {
	const far = "1e20000000"
	for _, spec := range []string{
		"{defaults: {memLimit: " + far + "}}", "{enforced: {extraResourceLimits: {a/b: " + far + "}}}",
		"{defaults: {initContainers: [{name: i, image: i, resources: {limits: {memory: " + far + "}}}]}}",
		"{defaults: {extraContainerConfig: {resources: {limits: {memory: " + far + "}}}}}",
		"{defaults: {volumes: {v: {emptyDir: {sizeLimit: " + far + "}}}}}",
		"{constraints: {memLimit: {max: " + far + "}}}",
		"{profiles: [{slug: a, options: {o: {choices: {c: {settings: {memLimit: " + far + "}}}}}}]}",
	} {
		errs := Compile(decoded(t, baseline+namespaced("n", spec))).Errors()
		require.Len(t, errs, 1, spec)
		assert.Contains(t, errs[0].Message, "too large an exponent", spec)
	}
	typed := typing("o", far, "a")
	d := denied(t, compiled(t, baseline+namespaced("n", "{profiles: [{slug: a, options: {o: {unlistedChoice: {settings: {memLimit: '{value}'}}}}}], constraints: {memLimit: {max: 8Gi}}}")), typed)
	assert.Contains(t, d[0].Message, "too large an exponent")
	in := knowing(map[string]string{"m": far})
	d = denied(t, compiled(t, baseline+namespaced("n", `{expressions: {memLimit: "user.annotations.m"}, constraints: {memLimit: {max: 8Gi}}}`)), in)
	assert.Contains(t, d[0].Message, "too large an exponent")
	kept := keptInput(t, func(p *corev1.Pod) { notebook(p).Resources.Limits = corev1.ResourceList{"memory": quantityOf(far)} })
	d = denied(t, compiled(t, keeping+namespaced("n", "{constraints: {memLimit: {max: 8Gi}}}")), kept)
	assert.Contains(t, d[0].Message, "too large an exponent")
	c := compiled(t, baseline+namespaced("n", "{constraints: {memLimit: {max: 8Gi}}, defaults: {memLimit: 1Gi}}"))
	final := asStored(t, fitted(t, c, aliceIn("research")).Pod)
	final.Spec.Containers = append(final.Spec.Containers, corev1.Container{Name: "late", Image: "i", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": quantityOf(far)}}})
	assert.Contains(t, verify(t, c, aliceIn("research"), final)[0].Message, "too large an exponent")
}
