package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/resource"
)

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
