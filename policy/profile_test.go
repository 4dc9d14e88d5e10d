package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const profiles = baseline + `
---
apiVersion: slipway.dev/v1alpha1
kind: SpawnPolicy
metadata: {name: course, namespace: research}
spec:
  defaults: {image: base, environment: {A: base, B: base}}
  profiles:
  - slug: small
    settings: {environment: {A: small}}
    options:
    - name: image
      unlistedChoice: {validationRegex: "ok/.*", settings: {image: "{value}", defaultUrl: "/{value}", environment: {TYPED: "{value}"}}}
      choices:
      - {name: one, settings: {image: one}}
      - {name: two, default: true, settings: {image: two}}
      - {name: staff, allowedGroups: [staff], settings: {image: staff}}
    - name: memory
      choices: {1g: {settings: {memLimit: 1Gi}}, 2g: {settings: {memLimit: 2Gi}}}
  - {slug: gpu, allowedGroups: [staff], settings: {image: gpu, unset: ['environment[B]']}}
  - {slug: alices, allowedUsers: ["ali*"], settings: {image: alices}}
`

func TestProfilesAndChoices(t *testing.T) {
	c := compiled(t, profiles)
	for name, tc := range map[string]struct {
		profile string
		options map[string]string
		groups  []string
		image   string
	}{
		"defaults":                  {"", nil, nil, "two"},
		"choice":                    {"small", map[string]string{"image": "one"}, nil, "one"},
		"choice without a profile":  {"", map[string]string{"image": "one"}, nil, "one"},
		"typed":                     {"small", map[string]string{"image--unlisted-choice": "ok/x"}, nil, "ok/x"},
		"typed wins over a choice":  {"small", map[string]string{"image": "one", "image--unlisted-choice": "ok/x"}, nil, "ok/x"},
		"empty is not given":        {"small", map[string]string{"image": "", "image--unlisted-choice": ""}, nil, "two"},
		"profile of a group":        {"gpu", nil, []string{"staff"}, "gpu"},
		"profile of a user":         {"alices", nil, nil, "alices"},
		"choice of a group":         {"small", map[string]string{"image": "staff"}, []string{"staff"}, "staff"},
		"unknown options are noted": {"small", map[string]string{"colour": "red"}, nil, "two"},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			in.Identity.Profile, in.Identity.Options, in.Identity.Groups = tc.profile, tc.options, tc.groups
			r := fitted(t, c, in)
			assert.Equal(t, tc.image, notebook(r.Pod).Image)
			if _, has := tc.options["colour"]; has {
				assert.Len(t, r.Warnings, 1)
			}
		})
	}
}

func TestSelectionsThatAreDenied(t *testing.T) {
	c := compiled(t, profiles)
	for name, tc := range map[string]struct {
		profile string
		options map[string]string
		code    Code
	}{
		"unknown profile":                  {"zzz", nil, ProfileUnknown},
		"profile of another group":         {"gpu", nil, ProfileNotAllowed},
		"unknown choice":                   {"small", map[string]string{"image": "nope"}, OptionInvalid},
		"choice of another group":          {"small", map[string]string{"image": "staff"}, ProfileNotAllowed},
		"typed against the pattern":        {"small", map[string]string{"image--unlisted-choice": "bad/x"}, OptionInvalid},
		"pattern matches the whole only":   {"small", map[string]string{"image--unlisted-choice": "evil ok/x"}, OptionInvalid},
		"no line end gets through":         {"small", map[string]string{"image--unlisted-choice": "ok/x\nevil"}, OptionInvalid},
		"no trailing newline":              {"small", map[string]string{"image--unlisted-choice": "ok/x\n"}, OptionInvalid},
		"checked without a profile too":    {"", map[string]string{"image--unlisted-choice": "bad/x"}, OptionInvalid},
		"typed where nothing may be typed": {"small", map[string]string{"memory--unlisted-choice": "64Gi"}, OptionInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			in.Identity.Profile, in.Identity.Options = tc.profile, tc.options
			assert.Equal(t, tc.code, denied(t, c, in)[0].Code)
		})
	}
}

func TestADeniedChoiceSaysHowAValueThatIsNotListedIsGiven(t *testing.T) {
	in := aliceIn("research")
	in.Identity.Profile, in.Identity.Options = "small", map[string]string{"image": "ok/x"}
	assert.Equal(t, `option "image" has no choice "ok/x": a value that isn't listed is given as option "image--unlisted-choice"`,
		denied(t, compiled(t, profiles), in)[0].Message)
}

// KubeSpawner expands the user's text once more as a template.
func TestTypedTextIsNeverATemplate(t *testing.T) {
	in := aliceIn("research")
	in.Identity.Options = map[string]string{"image--unlisted-choice": "ok/{unescaped_username}{boom}"}
	pod := fitted(t, compiled(t, profiles), in).Pod
	assert.Equal(t, "ok/{unescaped_username}{boom}", envOf(pod)["TYPED"])
	assert.Equal(t, "ok/{unescaped_username}{boom}", notebook(pod).Image)
	assert.Equal(t, "/ok/{unescaped_username}{boom}", envOf(pod)["JUPYTERHUB_DEFAULT_URL"])
	in.Identity.Options = map[string]string{"image--unlisted-choice": "ok/{username}"}
	assert.Equal(t, "/ok/{username}", envOf(fitted(t, compiled(t, profiles), in).Pod)["JUPYTERHUB_DEFAULT_URL"])
}

func TestTypedTextMeetsTheRulesOfItsSetting(t *testing.T) {
	in := aliceIn("research")
	in.Identity.Options = map[string]string{"o--unlisted-choice": "5"}
	for field, settings := range map[string]string{
		"extraPodConfig.priority":   "{extraPodConfig: {priority: 5, hostname: 'h{value}'}}",
		"extraContainerConfig.name": "{extraContainerConfig: {name: 'n{value}'}}",
		"slugScheme":                "{slugScheme: 's{value}'}",
	} {
		c := compiled(t, baseline+namespaced("n", "{profiles: [{slug: a, options: [{name: o, unlistedChoice: {settings: "+settings+"}}]}]}"))
		d := denied(t, c, in)
		assert.Equal(t, PolicyInvalid, d[0].Code)
		assert.Equal(t, "spec.profiles[0].options[0].unlistedChoice.settings."+field, d[0].Field)
		assert.Equal(t, "n", d[0].Policy.Name)
	}
}

func TestProfileUnsetsAndMerges(t *testing.T) {
	in := aliceIn("research")
	in.Identity.Groups = []string{"staff"}
	c := compiled(t, profiles)
	env := envOf(fitted(t, c, in).Pod)
	assert.Equal(t, "small", env["A"])
	assert.Equal(t, "base", env["B"])
	in.Identity.Profile = "gpu"
	assert.NotContains(t, envOf(fitted(t, c, in).Pod), "B")
}

// A policy of one namespace must not stop the webhook for all: \Qa is a pattern, and \A(?:\Qa)\z, which says that it has to be the
// whole, is none.
func TestAPatternThatCantBePutIntoAnother(t *testing.T) {
	for pattern, want := range map[string]map[string]bool{
		`\Qa.`:             {"a.": true, "ab": false, `a.)\z`: false},
		`\Q`:               {"a": false, ")": false},
		`a|b`:              {"a": true, "b": true, "ab": false},
		`a|ab`:             {"ab": true},
		`a*?`:              {"aaa": true, "aab": false},
		`(?m)^a$`:          {"a": true, "a\nb": false, "b\na": false},
		"(?s)a.b":          {"a\nb": true, "a\nb\n": false},
		`(?:a{0,9}){0,99}`: {"aaaa": true, "b": false},
	} {
		spec := asJSON(tree{"profiles": []any{tree{"slug": "a", "options": tree{"o": tree{
			"unlistedChoice": tree{"validationRegex": pattern, "settings": tree{"image": "{value}"}},
		}}}}})
		c := compiled(t, baseline+namespaced("n", spec))
		for typed, allowed := range want {
			in := aliceIn("research")
			in.Identity.Options = map[string]string{"o" + unlistedSuffix: typed}
			r, err := c.Apply(in)
			require.NoError(t, err)
			assert.Equal(t, allowed, r.Pod != nil, "%q by %s", typed, pattern)
		}
	}
}

func TestErrorsOfAPolicyComeInOneOrder(t *testing.T) {
	p := decoded(t, namespaced("n", `{profiles: [{slug: a, options: [{name: o, unlistedChoice: {settings: {zz: 1, yy: 1, xx: 1, ww: 1, vv: 1}}}]}]}`))
	first := Compile(p).Errors()
	require.Len(t, first, 5)
	for range 20 {
		assert.Equal(t, first, Compile(p).Errors())
	}
}
