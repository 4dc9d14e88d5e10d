package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// optional is a profile whose user chooses an image, or types one that the pattern lets through.
func optional(pattern, template string) tree {
	settings := tree{
		"image": "{value}", "nodeSelector": tree{"typed": "{value}"}, "workingDir": "/srv/{value}",
		"environment": tree{"TYPED": "{value}", "MORE": template}, "extraAnnotations": tree{"typed": "{value}", "user": "{unescaped_username}"},
		"volumes": tree{"v": tree{"hostPath": tree{"path": "/x/{value}/y"}}},
	}
	return tree{"profiles": []any{
		tree{"slug": "free", "options": tree{
			"image": tree{
				"choices":        tree{"a": tree{"settings": tree{"image": "listed-a"}}, "b": tree{"default": true, "settings": tree{"image": "listed-b"}}, "staff": tree{"allowedGroups": []any{"staff"}, "settings": tree{"image": "listed-staff"}}},
				"unlistedChoice": tree{"validationRegex": pattern, "settings": settings},
			},
			"size": tree{"choices": []any{tree{"name": "small"}, tree{"name": "large", "settings": tree{"memLimit": "8Gi"}}}},
		}},
		tree{"slug": "teacher", "allowedUsers": []any{"prof-*"}},
	}}
}

// fullyMatches says, in another way than the product, whether the whole of a text matches. Some patterns can't be put into others.
func fullyMatches(pattern, text string) bool {
	whole, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	return err != nil || whole.MatchString(text)
}

// FuzzOptions: whatever a hub says that a user chose, the pod has a listed choice or a text that the policy's pattern lets through,
// as it was typed.
func FuzzOptions(f *testing.F) {
	f.Add("[a-z]+", "{value}", "free", `{"image--unlisted-choice":"typed"}`, "alice")
	f.Fuzz(func(t *testing.T, pattern, template, profile, options, user string) {
		if !utf8.ValidString(pattern+template+profile+options+user) || pattern == "" {
			return // JSON has no such text; and no pattern lets any through
		}
		spec, readable := specOf([]byte(asJSON(optional(pattern, template))))
		require.True(t, readable)
		policies := decoded(t, baseline)
		fuzzedPolicy(false, spec, &policies)
		in := aliceIn("research")
		in.Identity.User, in.Identity.Profile = user, profile
		_ = json.Unmarshal([]byte(options), &in.Identity.Options) // what is no map of texts is no options
		r, err := Compile(policies).Apply(in)
		require.NoError(t, err)
		requireDecision(t, &r)
		if r.Pod == nil {
			return
		}
		if profile == "teacher" {
			require.True(t, strings.HasPrefix(user, "prof-"))
			return
		}
		image, typed := notebook(r.Pod).Image, in.Identity.Options["image"+unlistedSuffix]
		if typed == "" {
			require.True(t, slices.Contains([]string{"listed-a", "listed-b"}, image), "%q, which only staff may choose", image)
			return
		}
		require.True(t, fullyMatches(pattern, typed), "%q is not %s", typed, pattern)
		require.Equal(t, typed, image)
		require.Equal(t, typed, envOf(r.Pod)["TYPED"], "not expanded once more")
		require.Equal(t, typed, r.Pod.Spec.NodeSelector["typed"])
		require.Equal(t, typed, r.Pod.Annotations["typed"])
		require.Equal(t, user, r.Pod.Annotations["user"])
		require.Equal(t, "/x/"+typed+"/y", volume(r.Pod, "v").HostPath.Path)
		require.Equal(t, strings.TrimRight("/srv/"+typed, "-"), strings.TrimRight(notebook(r.Pod).WorkingDir, "-"))
	})
}
