package policy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkApply is one pod on policies that use every setting, and on a minimal one.
func BenchmarkApply(b *testing.B) {
	full, err := os.ReadFile(filepath.Join("testdata", "full.policy.yaml"))
	require.NoError(b, err)
	for name, text := range map[string]string{"minimal": baseline, "full": string(full), "profiles": profiles} {
		b.Run(name, func(b *testing.B) {
			c := compiled(b, text)
			in := aliceIn("research")
			in.Identity.EnvSecret = "jupyter-alice-env-x7k2m9qa"
			in.Identity.EnvKeys = []string{"JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_USER"}
			fitted(b, c, in)
			b.ReportAllocs()
			for b.Loop() {
				if r, err := c.Apply(in); err != nil || r.Pod == nil {
					b.Fatal(err, r.Denials)
				}
			}
		})
	}
}

// BenchmarkCompile is what a change of policy costs.
func BenchmarkCompile(b *testing.B) {
	full, err := os.ReadFile(filepath.Join("testdata", "full.policy.yaml"))
	require.NoError(b, err)
	p := decoded(b, string(full))
	b.ReportAllocs()
	for b.Loop() {
		Compile(p)
	}
}
