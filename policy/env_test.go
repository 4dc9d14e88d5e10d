package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVariablesOfSizesReadAsPythonWritesThem(t *testing.T) {
	for quantity, want := range map[string]string{
		"9m": "0.009", "2": "2.0", "100n": "1e-07", "0.1": "0.1", "10e21": "1e+22", "15536m": "15.536", "0.333333": "0.333333",
	} {
		pod := fitted(t, compiled(t, baseline+namespaced("a", "{defaults: {cpuGuarantee: "+quantity+"}}")), aliceIn("research")).Pod
		assert.Equal(t, want, envOf(pod)["CPU_GUARANTEE"], quantity)
	}
}

func TestWithInternalTLSTheServerListensWithTLS(t *testing.T) {
	in := aliceIn("research")
	in.Identity.Env = map[string]string{"JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:1/", "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/"}
	for settings, want := range map[string]string{
		"{}":                  "http://0.0.0.0:8888/user/alice/",
		"{internalSsl: true}": "https://0.0.0.0:8888/user/alice/",
		"{internalSsl: true, secretMountPath: ''}": "https://0.0.0.0:8888/user/alice/",
	} {
		pod := fitted(t, compiled(t, baseline+namespaced("a", "{defaults: "+settings+"}")), in).Pod
		assert.Equal(t, want, envOf(pod)["JUPYTERHUB_SERVICE_URL"], settings)
	}
}
