package z2jh

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
)

// FuzzImport reads values. Whatever stands in them, the answer is a policy that can be written to a file and read back, or
// errors.
func FuzzImport(f *testing.F) {
	for _, values := range []string{
		"singleuser: {memory: {limit: 1G}, extraEnv: {A: '{username}'}, storage: {extraVolumes: [{name: a, emptyDir: {}}]}}",
		"hub: {config: {KubeSpawner: {init_containers: [{name: a, image: b}], environment: {A: 1}}}}",
		"singleuser: {profileList: [{display_name: A, kubespawner_override: {cpu_limit: 1}, profile_options: {o: {choices: {c: {}}, unlisted_choice: {enabled: true, validation_regex: '^a', kubespawner_override: {image: '{value}'}}}}}]}",
		"a: &a {b: *a}",
	} {
		f.Add([]byte(values), "4.4.0", false)
		f.Add([]byte(values), "3.3.8", true)
	}
	f.Fuzz(func(t *testing.T, values []byte, version string, evident bool) {
		imported, _, err := Import([][]byte{values}, []string{"fuzz.yaml"}, Options{Namespace: "jhub", Hub: "main", ChartVersion: version, Evident: evident})
		if err != nil {
			return
		}
		data, err := json.Marshal(imported)
		require.NoError(t, err)
		read, err := policy.Decode("imported.yaml", data)
		require.NoError(t, err)
		policy.Compile(read) // what upstream would refuse too may be an error of the policy, and is no panic
	})
}
