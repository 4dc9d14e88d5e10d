package parity

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// profileList is one entry of testdata/profiles.yaml.
type profileList struct {
	Name     string              `yaml:"name"`
	Settings map[string]any      `yaml:"settings"`
	Texts    map[string][]string `yaml:"texts"`
	Tries    []row               `yaml:"tries"`
}

func TestEveryProfileAndChoice(t *testing.T) {
	oracle := ForTest(t)
	var lists []profileList
	readYAML(t, "testdata/profiles.yaml", &lists)
	var figures tally
	for _, list := range lists {
		exempt := takeExemptions(list.Settings["profile_list"])
		settings := settingsOf(list.Settings)
		t.Run(list.Name, func(t *testing.T) {
			for _, options := range choices(t, oracle, settings, list.Texts) {
				c := Case{User: "alice", Prefix: "/user/alice/", Settings: settings, Options: options}
				lines := try(t, oracle, c, exempt[options["profile"]])
				figures.count(reportServer(t, RealServer{User: c.User, Options: options}, lines))
			}
			for _, r := range list.Tries {
				c := Case{User: "alice", Prefix: "/user/alice/", Settings: settings, Options: r.Options, Groups: r.Groups}
				lines := try(t, oracle, c, r.Exempt)
				figures.count(reportServer(t, RealServer{User: c.User, Options: r.Options}, lines))
			}
		})
	}
	figures.print(t, "profiles' choices")
}

// takeExemptions gives the exemptions by slug that profiles are marked with, and takes the marks away.
func takeExemptions(profiles any) map[string]string {
	exempt := map[string]string{}
	list, _ := profiles.([]any)
	for _, item := range list {
		profile, _ := item.(map[string]any)
		name, _ := profile["exempt"].(string)
		slug, _ := profile["slug"].(string)
		if name != "" {
			exempt[slug] = name
		}
		delete(profile, "exempt")
	}
	return exempt
}

// choices are all selections that a user has: no choice, each profile, and in it each choice of each option and
// each free text, one at a time. Which there are, the profiles themselves say.
func choices(t *testing.T, oracle *Oracle, settings map[string]any, texts map[string][]string) []map[string]string {
	t.Helper()
	all := []map[string]string{nil}
	answer, err := oracle.Profiles(Case{User: "alice", Settings: settings})
	require.NoError(t, err)
	for _, p := range answer {
		all = append(all, map[string]string{"profile": p.Slug})
		for _, option := range slices.Sorted(maps.Keys(p.Options)) {
			for _, choice := range p.Options[option] {
				all = append(all, map[string]string{"profile": p.Slug, option: choice})
			}
			for _, text := range texts[option] {
				all = append(all, map[string]string{"profile": p.Slug, option + "--unlisted-choice": text})
			}
			all = append(all, map[string]string{"profile": p.Slug, option: "no-such-choice"})
		}
	}
	return append(all, map[string]string{"profile": "no-such-profile"})
}
