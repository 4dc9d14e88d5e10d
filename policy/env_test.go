package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/resource"
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

// What a cluster computes has to be the very text that JupyterHub writes, whatever the quantity's own arithmetic makes of it.
func TestProcessorsAsPythonWritesThem(t *testing.T) {
	for quantity, want := range map[string]string{
		"2":                  "2.0",
		"500m":               "0.5",
		"3650500u":           "3.6505",
		"1922637500n":        "1.9226375",
		"215625u":            "0.215625",
		"938m":               "0.938",
		"1n":                 "1e-09",
		"9007199":            "9007199.0",
		"123456789012":       "123456789012.0",
		"10000000000000000":  "1e+16",
		"0.1":                "0.1",
		"15.381":             "15.381",
		"7k":                 "7000.0",
		"1.100000000000e-01": "0.11",
	} {
		q := resource.MustParse(quantity)
		assert.Equal(t, want, pythonFloat(nearestFloat(&q)), quantity)
	}
}

// The key of a variable orders it, and may be another's name.
func TestVariablesCalledByEachOthersKeysAllStay(t *testing.T) {
	const variables = `{environment: {A: {name: B, value: b}, B: {name: C, value: c}, C: {name: A, value: a}}}`
	for _, spec := range []string{"{defaults: " + variables + "}", "{enforced: " + variables + "}"} {
		c := compiled(t, baseline+namespaced("n", spec))
		for range 20 { // a map is walked through in another order each time
			env := envOf(fitted(t, c, aliceIn("research")).Pod)
			assert.Equal(t, []string{"a", "b", "c"}, []string{env["A"], env["B"], env["C"]}, spec)
		}
	}
}
