package kubespawner

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// profilesOf converts traits and gives the profiles as JSON.
func profilesOf(t *testing.T, text string, o Options) (string, []Finding) {
	t.Helper()
	p, findings := convert(t, text, o)
	assertUsable(t, p)
	return asJSON(t, p.Spec.Profiles), findings
}

func TestProfiles(t *testing.T) {
	for name, c := range map[string]struct{ list, want string }{
		"a list keeps its order; slugs come from the names": {
			`[{"display_name": "Small", "description": "one"}, {"display_name": "GPU (8x A100)", "default": true}, {"display_name": "x", "slug": "own"}]`,
			`[{"slug": "small", "displayName": "Small", "description": "one"}, {"slug": "gpu-8x-a100", "displayName": "GPU (8x A100)", "default": true}, {"slug": "own", "displayName": "x"}]`,
		},
		"a map is sorted by its keys, which are no slugs": {
			`{"b": {"display_name": "First"}, "a": {"display_name": "Second"}}`,
			`[{"slug": "second", "displayName": "Second"}, {"slug": "first", "displayName": "First"}]`,
		},
		"of two defaults the first counts": {
			`[{"display_name": "a", "default": true}, {"display_name": "b", "default": 1}]`,
			`[{"slug": "a", "displayName": "a", "default": true}, {"slug": "b", "displayName": "b"}]`,
		},
		"options and choices keep their order": {
			`[{"display_name": "a", "profile_options": {"z": {"display_name": "Z", "choices": {"y": {"display_name": "Y"}, "x": {"display_name": "X", "default": true, "kubespawner_override": {"image": "i"}}}}, "b": {"choices": {"c": {}}}}}]`,
			`[{"slug": "a", "displayName": "a", "options": [
				{"name": "z", "displayName": "Z", "choices": [{"name": "y", "displayName": "Y"}, {"name": "x", "displayName": "X", "default": true, "settings": {"image": "i"}}]},
				{"name": "b", "choices": [{"name": "c"}]}]}]`,
		},
		"what the user types": {
			`[{"display_name": "a", "profile_options": {"image": {"unlisted_choice": {"enabled": true, "display_name": "Other", "validation_regex": "^ok/.*$", "validation_message": "no",
				"kubespawner_override": {"image": "{value}", "mem_limit": "{value}G", "environment": {"V": "{value} {username} {{{{x}}}}", "GONE": null}}}}}}]`,
			`[{"slug": "a", "displayName": "a", "options": [{"name": "image", "unlistedChoice": {"displayName": "Other", "validationRegex": "^ok/.*$", "validationMessage": "no",
				"settings": {"image": "{value}", "memLimit": "{value}Gi", "environment": {"V": "{value} {username} {{{{x}}}}"}, "unset": ["environment[GONE]"]}}}]}]`,
		},
		"an unlisted choice that isn't enabled": {
			`[{"display_name": "a", "profile_options": {"image": {"choices": {"b": {}}, "unlisted_choice": {"enabled": false, "validation_regex": "("}}}}]`,
			`[{"slug": "a", "displayName": "a", "options": [{"name": "image", "choices": [{"name": "b"}]}]}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := profilesOf(t, `{"profile_list": `+c.list+`}`, Options{})
			assert.JSONEq(t, c.want, got)
		})
	}
}

// An override does to the traits what KubeSpawner's does; the settings say so by the policy's one rule of merging.
func TestOverridesMergeAsInKubeSpawner(t *testing.T) {
	for name, c := range map[string]struct{ base, override, want string }{
		"a map merges into a map, and null takes a key away": {
			`"environment": {"A": "1", "B": "b"}`, `{"environment": {"A": "2", "B": null, "N": {"value": "x"}}}`,
			`{"environment": {"A": "2", "N": {"value": "x"}}, "unset": ["environment[B]"]}`,
		},
		"null in depth": {
			`"extra_pod_config": {"securityContext": {"fsGroup": 1}}`, `{"extra_pod_config": {"securityContext": {"runAsUser": 5, "fsGroup": null}, "dns_policy": null}}`,
			`{"extraPodConfig": {"securityContext": {"runAsUser": 5}}, "unset": ["extraPodConfig[securityContext][fsGroup]", "extraPodConfig[dnsPolicy]"]}`,
		},
		"a scalar's null takes the weaker one away": {`"mem_limit": "1G"`, `{"mem_limit": null, "cmd": null, "scheduler_name": ""}`, `{"unset": ["memLimit", "cmd", "schedulerName"]}`},
		"zero is none too":                          {`"cpu_limit": 1`, `{"cpu_limit": 0}`, `{"unset": ["cpuLimit"]}`},
		"an empty map changes nothing":              {`"environment": {"A": "1"}`, `{"environment": {}}`, `null`},
		"an empty list means none":                  {`"tolerations": [{"operator": "Exists"}]`, `{"tolerations": []}`, `{"tolerations": []}`},
		"a map over a map of items": {
			`"volumes": {"home": {"name": "home", "emptyDir": {}}}`, `{"volumes": {"home": {"empty_dir": null, "hostPath": {"path": "/x"}}, "new": {"name": "new", "emptyDir": {}}}}`,
			`{"volumes": {"home": {"hostPath": {"path": "/x"}}, "new": {"name": "new", "emptyDir": {}}}, "unset": ["volumes[home][emptyDir]"]}`,
		},
		"an item of a map is taken away": {`"volumes": {"home": {"name": "home", "emptyDir": {}}}`, `{"volumes": {"home": null}}`, `{"unset": ["volumes[home]"]}`},
		"a map over a list replaces it, so it is written as a list": {
			`"volumes": [{"name": "home", "emptyDir": {}}]`, `{"volumes": {"b": {"name": "two", "emptyDir": {}}, "a": {"name": "one", "emptyDir": {}}}}`,
			`{"volumes": [{"name": "one", "emptyDir": {}}, {"name": "two", "emptyDir": {}}]}`,
		},
		"a map over nothing, where KubeSpawner's default is a list": {`"uid": 1`, `{"tolerations": {"a": {"operator": "Exists"}}}`, `{"tolerations": [{"operator": "Exists"}]}`},
		"a list over a map replaces it":                             {`"volumes": {"home": {"name": "home", "emptyDir": {}}}`, `{"volumes": [{"name": "x", "emptyDir": {}}]}`, `{"volumes": [{"name": "x", "emptyDir": {}}]}`},
		"a label of KubeSpawner's own goes":                         {`"uid": 1`, `{"common_labels": {"app": null}}`, `{"unset": ["commonLabels[app]"]}`},
		"a working directory stays as it is written":                {`"uid": 1`, `{"working_dir": "/home/{username}"}`, `{"workingDir": "/home/{{username}}"}`},
		"a claim's name is taken as it is":                          {`"uid": 1`, `{"pvc_name": "shared-{x}"}`, `{"pvcNameTemplate": "shared-{{x}}"}`},
		"old names work here":                                       {`"uid": 1`, `{"image_spec": "x"}`, `{"image": "x"}`},
		"what has no effect is left out":                            {`"uid": 1`, `{"pod_name_template": "x", "unknown": 1, "singleuser_lifecycle_hooks": {}}`, `null`},
		"null of a security context's field takes the weaker one away": {
			`"container_security_context": {"runAsUser": 1}`, `{"container_security_context": {"runAsUser": null, "runAsNonRoot": true}}`,
			`{"containerSecurityContext": {"runAsNonRoot": true}, "unset": ["containerSecurityContext[runAsUser]"]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := convert(t, `{`+c.base+`, "profile_list": [{"display_name": "p", "kubespawner_override": `+c.override+`}]}`, Options{})
			assertUsable(t, p)
			assert.JSONEq(t, c.want, asJSON(t, p.Spec.Profiles[0].Settings))
		})
	}
}

func TestAMapOverAListIntoWhichAnOptionMergesStaysAMap(t *testing.T) {
	got, _ := profilesOf(t, `{"volumes": [], "profile_list": [{"display_name": "p", "kubespawner_override": {"volumes": {"a": {"name": "a", "emptyDir": {}}}},
		"profile_options": {"o": {"choices": {"c": {"kubespawner_override": {"volumes": {"a": {"emptyDir": {"medium": "Memory"}}}}}}}}}]}`, Options{})
	assert.JSONEq(t, `[{"slug": "p", "displayName": "p", "settings": {"volumes": {"a": {"name": "a", "emptyDir": {}}}, "unset": ["volumes"]},
		"options": [{"name": "o", "choices": [{"name": "c", "settings": {"volumes": {"a": {"emptyDir": {"medium": "Memory"}}}}}]}]}]`, got)
}

func TestAFormThatDependsOnAChoiceIsReported(t *testing.T) {
	_, findings := convert(t, `{"profile_list": [{"display_name": "p", "profile_options": {
		"a": {"choices": {"list": {"kubespawner_override": {"volumes": []}}, "map": {"kubespawner_override": {"volumes": {"x": {"name": "x", "emptyDir": {}}}}}}},
		"b": {"choices": {"c": {}}}}}]}`, Options{})
	assert.Contains(t, told(findings), "volumes is a list after one choice and a map after another")
}

func TestGroupsOfProfilesAreTakenOnRequest(t *testing.T) {
	const list = `{"profile_list": [{"display_name": "p", "allowed_groups": ["g"], "profile_options": {"o": {"choices": {"c": {"allowed_users": ["u"]}}}}}]}`
	got, findings := profilesOf(t, list, Options{})
	assert.NotContains(t, got, "allowed")
	assert.Contains(t, told(findings), "unmapped: profile_list[0].allowed_groups: KubeSpawner ignores it")
	got, findings = profilesOf(t, list, Options{AllowedGroups: true})
	assert.Contains(t, got, `"allowedGroups":["g"]`)
	assert.Contains(t, got, `"allowedUsers":["u"]`)
	assert.Empty(t, findings)
}

func TestProfilesThatKubeSpawnerCantStartAreRefused(t *testing.T) {
	for list, want := range map[string]string{
		`[{"slug": "a"}]`: `profile_list[0]: needs display_name`,
		`[{"display_name": "A b"}, {"display_name": "a-B"}]`: `profile_list[1]: has the slug "a-b", as profile_list[0] has`,
		`[1]`: `profile_list[0]: must be a map`,
		`[{"display_name": "a", "kubespawner_override": []}]`:                                                                                         `profile_list[0].kubespawner_override: must be a map of traits`,
		`[{"display_name": "a", "kubespawner_override": {"mem_limit": "1Gi"}}]`:                                                                       `profile_list[0].kubespawner_override.mem_limit: must be a size`,
		`[{"display_name": "a", "kubespawner_override": {"image": {"a": 1}}}]`:                                                                        `kubespawner_override.image: must be text, not a map`,
		`[{"display_name": "a", "kubespawner_override": {"environment": {"A": {"value": "x"}}}}]`:                                                     `environment.A: is a map over the text "1", which KubeSpawner can't merge`,
		`[{"display_name": "a", "kubespawner_override": {"environment": ["A"]}}]`:                                                                     `environment: must be a map of variables`,
		`[{"display_name": "a", "kubespawner_override": {"extraResource": {"limits": {}}}}]`:                                                          `extraResource: KubeSpawner has no such trait, and fails to start a server with it`,
		`[{"display_name": "a", "kubespawner_override": {"volumes": {"x": {"emptyDir": {}}}}}]`:                                                       `volumes.x: needs name`,
		`[{"display_name": "a", "kubespawner_override": {"init_containers": [{"name": "x", "img": "y"}]}}]`:                                           `init_containers[0].img: Container has no field of this name`,
		`[{"display_name": "a", "profile_options": {"o": {}}}]`:                                                                                       `profile_options.o: has neither choices nor an enabled unlisted_choice`,
		`[{"display_name": "a", "profile_options": {"o": {"choices": ["x"]}}}]`:                                                                       `profile_options.o.choices: must be a map of choices`,
		`[{"display_name": "a", "profile_options": {"o": {"unlisted_choice": {"enabled": true, "validation_regex": "("}}}}]`:                          `validation_regex: is no regular expression`,
		`[{"display_name": "a", "profile_options": {"o": {"unlisted_choice": {"enabled": true, "kubespawner_override": {"cpu_limit": "{value}"}}}}}]`: `cpu_limit: must be a number`,
		`[{"display_name": "a", "profile_options": {"o": {"unlisted_choice": {"enabled": true, "kubespawner_override": {"image": "{value:>9}"}}}}}]`:  `image: {value:>9} can't be carried over`,
	} {
		t.Run(list, func(t *testing.T) {
			_, _, err := Convert(traitsOf(t, `{"environment": {"A": "1"}, "profile_list": `+list+`}`), Options{})
			require.ErrorContains(t, err, want)
		})
	}
}

func TestASizeThatIsTypedWithItsUnitIsReported(t *testing.T) {
	got, findings := profilesOf(t, `{"profile_list": [{"display_name": "a", "profile_options": {"o": {"unlisted_choice": {"enabled": true, "kubespawner_override": {"mem_limit": "{value}"}}}}}]}`, Options{})
	assert.NotContains(t, got, "memLimit")
	assert.Contains(t, told(findings), `unmapped: profile_list[0].profile_options.o.unlisted_choice.kubespawner_override.mem_limit: a size that the user types with its unit`)
}

func TestBlocksOfOptionsAreWrittenInTheOrderOfTheirType(t *testing.T) {
	p, _ := convert(t, `{"profile_list": [{"display_name": "a", "profile_options": {"o": {"display_name": "O", "choices": {"c": {"default": true, "kubespawner_override": {"uid": 1, "image": "x"}, "display_name": "C"}}}}}]}`, Options{})
	const want = `[{"name":"o","displayName":"O","choices":[{"name":"c","displayName":"C","default":true,"settings":{"image":"x","uid":1}}]}]`
	assert.Equal(t, []byte(want), p.Spec.Profiles[0].Options.Raw)
}
