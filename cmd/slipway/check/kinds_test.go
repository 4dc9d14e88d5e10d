package check

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/certs"
)

// The API server's words, as its own code and Go's network and TLS code say them.
func TestEachKindOfFailureHasItsMend(t *testing.T) {
	in := &installation{namespace: "slipway-system", release: "slipway"}
	for words, mend := range map[string]string{
		"dial tcp 10.96.0.5:443: connect: connection refused":                                                      "kubectl rollout status",
		`no endpoints available for service "slipway-webhook"`:                                                     "kubectl rollout status",
		`service "slipway-webhook" not found`:                                                                      "kubectl rollout status",
		"context deadline exceeded":                                                                                "10250",
		"dial tcp 10.96.0.5:443: i/o timeout":                                                                      "10250",
		"tls: failed to verify certificate: x509: certificate signed by unknown authority":                         "caBundle",
		"tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-": "kubectl rollout restart",
		"tls: failed to verify certificate: x509: certificate is valid for a.b.svc, not c.d.svc":                   "--service-name",
		"dial tcp: lookup nowhere: no such host":                                                                   "clientConfig.url",
		"an error on the server has prevented the request from succeeding":                                         "kubectl logs",
	} {
		means, got := in.unreached(`failed calling webhook "mutate.slipway.dev": failed to call webhook: ` + words)
		assert.NotEmpty(t, means)
		assert.Contains(t, got, mend, words)
	}
}

func TestASchemaThatLacksAFieldIsTold(t *testing.T) {
	type item struct {
		Name  string             `json:"name"`
		Bound *resource.Quantity `json:"bound,omitempty"`
	}
	type inlined struct {
		Deep string `json:"deep"`
	}
	type spec struct {
		inlined `json:",inline"`
		Items   []item          `json:"items"`
		ByName  map[string]item `json:"byName"`
		When    metav1.Time     `json:"when"`
		Free    map[string]any  `json:"free"`
		Skipped string          `json:"-"`
	}
	object := func(properties map[string]apiextensionsv1.JSONSchemaProps) *apiextensionsv1.JSONSchemaProps {
		return &apiextensionsv1.JSONSchemaProps{Type: "object", Properties: properties}
	}
	whole := object(map[string]apiextensionsv1.JSONSchemaProps{"name": {}, "bound": {}})
	half := object(map[string]apiextensionsv1.JSONSchemaProps{"name": {}})
	schema := object(map[string]apiextensionsv1.JSONSchemaProps{
		"deep": {}, "when": {}, "free": {},
		"items":  {Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: half}},
		"byName": {AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Schema: whole}},
	})
	assert.Equal(t, []string{"items[].bound"}, unknownFields(reflect.TypeFor[spec](), schema, ""))
	assert.Equal(t, []string{"byName", "deep", "free", "items", "when"}, unknownFields(reflect.TypeFor[spec](), object(nil), ""))
	keeps := &apiextensionsv1.JSONSchemaProps{XPreserveUnknownFields: new(true)}
	assert.Empty(t, unknownFields(reflect.TypeFor[spec](), keeps, ""))
}

func TestVersionsOfProvidersAreRead(t *testing.T) {
	for version, enough := range map[[2]string]bool{
		{"1", "29"}: false, {"1", "29+"}: false, {"1", "30"}: true, {"1", "30+"}: true, {"1", "37"}: true, {"2", "0"}: true, {"", ""}: true,
	} {
		assert.Equal(t, enough, newEnough(version[0], version[1]), version)
	}
}

func TestReadyEndpointsServeTheServicesPort(t *testing.T) {
	slices := []discoveryv1.EndpointSlice{{
		Ports: []discoveryv1.EndpointPort{{Name: new("webhook")}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.0.0.1"}},
			{Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}},
			{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}},
		},
	}}
	assert.Equal(t, 2, readyEndpoints(slices, "webhook"))
	assert.Zero(t, readyEndpoints(slices, "metrics"))
}

// A renewal that nobody made shows late in a long life, and not at once in a short one.
func TestACertificateExpiresSoonByTheLengthOfItsLife(t *testing.T) {
	const days = 24 * time.Hour
	now := time.Now()
	for _, test := range []struct {
		life, left time.Duration
		soon       bool
	}{
		{365 * days, 15 * days, false},
		{365 * days, 13 * days, true},
		{8 * days, 3 * days, false},
		{8 * days, 1 * days, true},
	} {
		pair, err := certs.SelfSigned([]string{"host"}, now.Add(test.left-test.life), test.life)
		require.NoError(t, err)
		certificates, err := readCertificates(pair.Cert)
		require.NoError(t, err)
		assert.Equal(t, test.soon, soon(certificates, certificates[0].NotAfter, now), "%s of %s", test.left, test.life)
	}
}

func TestABundleTrustsWhatOneOfItsAuthoritiesSigned(t *testing.T) {
	now := time.Now()
	pair, err := certs.SelfSigned([]string{"host"}, now, time.Hour)
	require.NoError(t, err)
	old, err := certs.SelfSigned([]string{"host"}, now.Add(-48*time.Hour), time.Hour)
	require.NoError(t, err)
	chain, err := readCertificates(pair.Cert)
	require.NoError(t, err)
	both, err := readCertificates(append(append([]byte(nil), old.CA...), pair.CA...))
	require.NoError(t, err)
	assert.True(t, signed(chain, both), "beside one that has expired")
	assert.False(t, signed(chain, both[:1]))
	_, err = readCertificates([]byte("nothing"))
	assert.ErrorContains(t, err, "no certificate in PEM")
}
