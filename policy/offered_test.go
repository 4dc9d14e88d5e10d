package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOfferedAreTheProfilesAndChoicesOfThisUser(t *testing.T) {
	c := compiled(t, profiles)
	in := aliceIn("research")
	in.Identity.Profile, in.Identity.Options = "nonsense", map[string]string{"image": "nonsense"}
	offered, denials := c.Offered(in)
	require.Empty(t, denials)
	unlisted := &OfferedUnlisted{ValidationRegex: "ok/.*"}
	memory := OfferedOption{Name: "memory", DisplayName: "memory", Choices: []OfferedChoice{{Name: "1g", DisplayName: "1g", Default: true}, {Name: "2g", DisplayName: "2g"}}}
	one, two := OfferedChoice{Name: "one", DisplayName: "one"}, OfferedChoice{Name: "two", DisplayName: "two", Default: true}
	assert.Equal(t, []Offered{
		{Slug: "small", DisplayName: "small", Default: true, Options: []OfferedOption{
			{Name: "image", DisplayName: "image", Choices: []OfferedChoice{one, two}, Unlisted: unlisted}, memory,
		}},
		{Slug: "alices", DisplayName: "alices"},
	}, offered)

	in.Identity.Groups = []string{"staff"}
	offered, denials = c.Offered(in)
	require.Empty(t, denials)
	require.Len(t, offered, 3)
	assert.Equal(t, "gpu", offered[1].Slug)
	assert.Equal(t, []OfferedChoice{one, two, {Name: "staff", DisplayName: "staff"}}, offered[0].Options[0].Choices)
}

func TestOfferedHasWordsAndDefaultsAsPolicySays(t *testing.T) {
	c := compiled(t, baseline+namespaced("n", `{profiles: [
		{slug: a, displayName: First, description: the small one},
		{slug: b, default: true, options: [{name: x, displayName: "Which?", choices: [{name: p, displayName: P}, {name: q, allowedUsers: [bob], default: true}],
			unlistedChoice: {allowedUsers: [bob]}}]}]}`))
	offered, denials := c.Offered(aliceIn("research"))
	require.Empty(t, denials)
	assert.Equal(t, []Offered{
		{Slug: "a", DisplayName: "First", Description: "the small one"},
		{Slug: "b", DisplayName: "b", Default: true, Options: []OfferedOption{
			{Name: "x", DisplayName: "Which?", Choices: []OfferedChoice{{Name: "p", DisplayName: "P", Default: true}}},
		}},
	}, offered)
}

// What is offered can be had, and the default of each question is what one gets without an answer.
func TestWhatIsOfferedIsAdmitted(t *testing.T) {
	c := compiled(t, profiles)
	for _, groups := range [][]string{nil, {"staff"}} {
		in := aliceIn("research")
		in.Identity.Groups = groups
		offered, _ := c.Offered(in)
		for _, o := range offered {
			in.Identity.Profile, in.Identity.Options = o.Slug, map[string]string{}
			unanswered := notebook(fitted(t, c, in).Pod)
			for _, option := range o.Options {
				for _, choice := range option.Choices {
					if choice.Default {
						in.Identity.Options[option.Name] = choice.Name
					}
				}
			}
			assert.Equal(t, unanswered, notebook(fitted(t, c, in).Pod), o.Slug)
			for _, option := range o.Options {
				for _, choice := range option.Choices {
					in.Identity.Options = map[string]string{option.Name: choice.Name}
					fitted(t, c, in)
				}
			}
		}
	}
}

func TestNothingIsOfferedToWhomPolicyRefuses(t *testing.T) {
	offered, denials := compiled(t, baseline).Offered(aliceIn("research"))
	assert.Empty(t, offered)
	assert.Empty(t, denials, "there is nothing to choose")
	for name, tc := range map[string]struct {
		text   string
		change func(*Input)
		code   Code
	}{
		"no policy":        {profiles, func(in *Input) { in.Namespace = Namespace{Name: "other"} }, NoPolicy},
		"not the launcher": {profiles, func(in *Input) { in.Caller = "system:serviceaccount:x:y" }, LauncherNotAllowed},
		"nothing for her":  {baseline + namespaced("n", "{profiles: [{slug: a, allowedUsers: [bob]}]}"), func(*Input) {}, ProfileNotAllowed},
		"one slug twice":   {baseline + namespaced("n", "{profiles: [{slug: a}]}") + namespaced("o", "{profiles: [{slug: a}]}"), func(*Input) {}, PolicyInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			tc.change(&in)
			offered, denials := compiled(t, tc.text).Offered(in)
			assert.Empty(t, offered)
			require.NotEmpty(t, denials)
			assert.Equal(t, tc.code, denials[0].Code)
		})
	}
}

func TestNamesAreThoseOfTheFittedPod(t *testing.T) {
	c := compiled(t, profiles+namespaced("n", "{defaults: {podNameTemplate: 'nb-{user_server}'}, expressions: {dnsNameTemplate: \"'{name}.' + user.name + '.example'\"}}"))
	in := aliceIn("research")
	in.Identity.Server = "lab"
	want := fitted(t, c, in).Names
	in.Identity.Name, in.Caller = "whatever", "system:serviceaccount:x:y"
	got, denials := c.Names(in)
	require.Empty(t, denials)
	assert.Equal(t, want, got)
	assert.Equal(t, "nb-"+SafeUserServer("alice", "lab"), got.Pod)

	in.Identity.Profile = "gpu"
	_, denials = c.Names(in)
	require.NotEmpty(t, denials)
	assert.Equal(t, ProfileNotAllowed, denials[0].Code)
}
