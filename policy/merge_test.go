package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

func treeOf(t testing.TB, text string) tree {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	out, err := asTree(data)
	require.NoError(t, err)
	return out
}

func TestMergeHasOneRule(t *testing.T) {
	for _, tc := range []struct{ name, weaker, over, want string }{
		{"scalar replaces", "{image: a}", "{image: b}", "{image: b}"},
		{"map merges", "{nodeSelector: {a: '1', b: '1'}}", "{nodeSelector: {b: '2', c: '2'}}", "{nodeSelector: {a: '1', b: '2', c: '2'}}"},
		{"maps merge at any depth", "{extraPodConfig: {dnsConfig: {searches: [a], nameservers: [n]}}}", "{extraPodConfig: {dnsConfig: {searches: [b]}}}", "{extraPodConfig: {dnsConfig: {searches: [b], nameservers: [n]}}}"},
		{"list replaces list", "{volumes: [{name: a}]}", "{volumes: [{name: b}]}", "{volumes: [{name: b}]}"},
		{"list replaces map", "{volumes: {a: {emptyDir: {}}}}", "{volumes: [{name: b}]}", "{volumes: [{name: b}]}"},
		{"map merges with map", "{volumes: {a: {emptyDir: {}}}}", "{volumes: {a: {emptyDir: {medium: Memory}}, b: {emptyDir: {}}}}", "{volumes: {a: {emptyDir: {medium: Memory}}, b: {emptyDir: {}}}}"},
		{"map merges into list by name", "{volumes: [{name: z}, {name: a, emptyDir: {}}]}", "{volumes: {a: {emptyDir: {medium: Memory}}, m: {emptyDir: {}}}}", "{volumes: [{name: z}, {name: a, emptyDir: {medium: Memory}}, {name: m, emptyDir: {}}]}"},
		{"mounts merge into list by path", "{volumeMounts: [{name: h, mountPath: /home}]}", "{volumeMounts: {x: {mountPath: /home, readOnly: true}}}", "{volumeMounts: [{name: x, mountPath: /home, readOnly: true}]}"},
		{"empty list means none", "{tolerations: [{key: a}]}", "{tolerations: []}", "{tolerations: []}"},
		{"text over object replaces", "{environment: {A: {value: x}}}", "{environment: {A: y}}", "{environment: {A: y}}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			weaker, over := treeOf(t, tc.weaker), treeOf(t, tc.over)
			got, errs := mergeSettings(weaker, over, field.NewPath("spec", "defaults"))
			require.Empty(t, errs)
			assert.Equal(t, treeOf(t, tc.want), got)
			assert.Equal(t, treeOf(t, tc.weaker), weaker, "the weaker layer is used by others too")
			assert.Equal(t, treeOf(t, tc.over), over)
		})
	}
}

func TestTermsWithoutANameDontMergeIntoAList(t *testing.T) {
	_, errs := mergeSettings(treeOf(t, "{tolerations: [{key: a}]}"), treeOf(t, "{tolerations: {b: {key: b}}}"), field.NewPath("spec", "enforced"))
	require.Len(t, errs, 1)
	assert.Equal(t, "spec.enforced.tolerations", errs[0].Field)
	assert.Contains(t, errs[0].Detail, "no name to merge by")
}

func TestUnset(t *testing.T) {
	for _, tc := range []struct{ path, from, want string }{
		{"nodeSelector", "{nodeSelector: {a: '1'}, image: x}", "{image: x}"},
		{"environment[DEBUG]", "{environment: {DEBUG: '1', A: '2'}}", "{environment: {A: '2'}}"},
		{"nodeSelector[kubernetes.io/arch]", "{nodeSelector: {kubernetes.io/arch: arm64}}", "{nodeSelector: {}}"},
		{"volumes[home]", "{volumes: [{name: home}, {name: x}]}", "{volumes: [{name: x}]}"},
		{"volumes[home]", "{volumes: {a: {name: home}, b: {emptyDir: {}}}}", "{volumes: {b: {emptyDir: {}}}}"},
		{"volumes[home].emptyDir", "{volumes: [{name: home, emptyDir: {}}]}", "{volumes: [{name: home}]}"},
		{"volumeMounts[/home]", "{volumeMounts: [{name: h, mountPath: /home/}]}", "{volumeMounts: []}"},
		{"volumeMounts[/home/]", "{volumeMounts: {h: {mountPath: /home}, i: {mountPath: /i}}}", "{volumeMounts: {i: {mountPath: /i}}}"},
		{"tolerations[0]", "{tolerations: [{key: a}, {key: b}]}", "{tolerations: [{key: b}]}"},
		{"extraPodConfig.dnsConfig.searches", "{extraPodConfig: {dnsConfig: {searches: [a], options: []}}}", "{extraPodConfig: {dnsConfig: {options: []}}}"},
		{"image", "{}", "{}"},
	} {
		p, err := parseUnset(tc.path)
		require.NoError(t, err, tc.path)
		from := treeOf(t, tc.from)
		assert.Equal(t, treeOf(t, tc.want), p.take(from), tc.path)
		assert.Equal(t, treeOf(t, tc.from), from, "the weaker layer is used by others too")
	}
}

func TestUnsetThatNamesNothingIsAnError(t *testing.T) {
	for path, want := range map[string]string{
		"nodeSelecter":    "did you mean nodeSelector?",
		"":                "no setting is called",
		"environment[A":   "must be a setting's path",
		"[A]":             "must be a setting's path",
		"environment.":    "must be a setting's path",
		"environment..A":  "empty part",
		"environment[]":   "empty part",
		"environment[A]x": "must be a setting's path",
	} {
		_, err := parseUnset(path)
		assert.Error(t, err, path)
		if err != nil && path != "environment." {
			assert.ErrorContains(t, err, want, path)
		}
	}
}

func TestAMapItemMayBeAPartOfAWeakerLayersItem(t *testing.T) {
	const part = "{volumeMounts: {home: {subPath: mine}}}"
	weaker := baseline + namespaced("a", "{defaults: {volumes: {home: {emptyDir: {}}}, volumeMounts: {home: {mountPath: /home}}}}")
	r := fitted(t, compiled(t, weaker+namespaced("b", "{defaults: "+part+"}")), aliceIn("research"))
	assert.Equal(t, []corev1.VolumeMount{{Name: "home", MountPath: "/home", SubPath: "mine"}}, notebook(r.Pod).VolumeMounts)

	alone := denied(t, compiled(t, baseline+namespaced("b", "{defaults: "+part+"}")), aliceIn("research"))
	require.Len(t, alone, 1)
	assert.Equal(t, "spec.defaults.volumeMounts[home].mountPath", alone[0].Field)
}

func TestAnEnforcedPartOfAMountHoldsTheWholeMount(t *testing.T) {
	enforced := clusterwide("e", `{enforced: {volumeMounts: {home: {readOnly: true}}}}`)
	whole := namespaced("whole", "{defaults: {volumes: {home: {emptyDir: {}}}, volumeMounts: {home: {mountPath: /home}}}}")
	attack := namespaced("n", `{defaults: {extraContainerConfig: {volumeMounts: [{name: evil, mountPath: /home}]}}}`)
	pod := fitted(t, compiled(t, baseline+enforced+whole+attack), aliceIn("research")).Pod
	assert.Equal(t, []corev1.VolumeMount{{Name: "home", MountPath: "/home", ReadOnly: true}}, notebook(pod).VolumeMounts)
}

func TestAnItemsNameIsATemplateWhereItIsItsKeyToo(t *testing.T) {
	const volumes = `{defaults: {volumes: {"home-{username}": {emptyDir: {}}}, volumeMounts: {"home-{username}": {mountPath: /home}}}}`
	pod := fitted(t, compiled(t, baseline+namespaced("a", volumes)), aliceIn("research")).Pod
	assert.Equal(t, "home-alice", pod.Spec.Volumes[0].Name)
	assert.Equal(t, "home-alice", notebook(pod).VolumeMounts[0].Name)

	errs := Compile(decoded(t, namespaced("a", `{defaults: {volumes: {"home-{nope}": {emptyDir: {}}}}}`))).Errors()
	require.Len(t, errs, 1)
	assert.Equal(t, "spec.defaults.volumes[home-{nope}]", errs[0].Field)
}

func TestAVariablesNameIsNoTemplate(t *testing.T) {
	c := compiled(t, baseline+namespaced("a", `{defaults: {environment: {"KEY_{username}": "{username}"}}}`))
	assert.Equal(t, "alice", envOf(fitted(t, c, aliceIn("research")).Pod)["KEY_{username}"])
}
