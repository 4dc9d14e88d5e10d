package policy

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzPolicies reads policies and fits a pod by them. Whatever stands in a file, the engine answers with a pod, with reasons, or
// with errors of the file.
func FuzzPolicies(f *testing.F) {
	const launchers = "launchers: [{serviceAccount: {namespace: jupyter, name: hub}}], "
	for _, spec := range []string{
		`defaults: {memLimit: 4Gi, volumes: {"v-{username}": {emptyDir: {}}}, extraPodConfig: {hostname: "{user_server}"}}`,
		`enforced: {tolerations: [{key: a}], unset: ["environment[A]"]}, constraints: {memLimit: {max: 8Gi}, image: {allow: ["a/*"]}}`,
	} {
		f.Add([]byte(header+"spec: {"+launchers+spec+"}"), "alice", "", "{}")
	}
	f.Add([]byte(header+"spec: {"+launchers+"profiles: [{slug: a, options: {i: {unlistedChoice: {validationRegex: a.*, settings: {environment: {A: '{value}'}}}}}}]}"), "-É-", "x-", `{"i--unlisted-choice":"a{username}"}`)
	f.Fuzz(func(t *testing.T, data []byte, user, server, options string) {
		policies, err := Decode("fuzz.yaml", data)
		if err != nil {
			return
		}
		in := aliceIn("research")
		in.Identity.User, in.Identity.Server = user, server
		_ = json.Unmarshal([]byte(options), &in.Identity.Options) // what is no map of texts is no options
		r, err := Compile(policies).Apply(in)
		require.NoError(t, err)
		require.NotEqual(t, r.Pod == nil, len(r.Denials) == 0, "a pod or reasons")
	})
}
