package webhook

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

func TestConfigurationIsTheOneThatWasReviewed(t *testing.T) {
	got, err := yaml.Marshal(Configuration(AtAddress("127.0.0.1", 9443, []byte("PEM"))))
	require.NoError(t, err)
	golden(t, "configuration.yaml", got)
}

func TestVerifyConfigurationIsTheOneThatWasReviewed(t *testing.T) {
	got, err := yaml.Marshal(VerifyConfiguration(AtAddress("127.0.0.1", 9443, []byte("PEM")), []string{"system:serviceaccount:jupyter:hub"}))
	require.NoError(t, err)
	golden(t, "verify-configuration.yaml", got)
}

func TestPolicyConfigurationIsTheOneThatWasReviewed(t *testing.T) {
	got, err := yaml.Marshal(PolicyConfiguration(AtAddress("127.0.0.1", 9443, []byte("PEM"))))
	require.NoError(t, err)
	golden(t, "policy-configuration.yaml", got)
}

func TestConfigurationReachesAServiceOrAnAddress(t *testing.T) {
	service := Configuration(AtService("slipway-system", "slipway-webhook", 443, nil)).Webhooks[0].ClientConfig.Service
	assert.Equal(t, "slipway-system", service.Namespace)
	assert.Equal(t, "slipway-webhook", service.Name)
	assert.Equal(t, MutatePath, *service.Path)
	assert.Equal(t, int32(443), *service.Port)
	assert.Equal(t, "https://[fd00::1]:9443/verify", *VerifyConfiguration(AtAddress("fd00::1", 9443, nil), nil).Webhooks[0].ClientConfig.URL)
}
