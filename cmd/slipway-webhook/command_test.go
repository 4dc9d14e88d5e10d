package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/cmd/internal/server"
)

func TestWrongUsageIsToldBeforeAnythingStarts(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"an unknown flag":  {[]string{"--prot", "1"}, "--prot"},
		"an argument":      {[]string{"serve"}, `"serve"`},
		"a port in words":  {[]string{"--port", "https"}, "--port"},
		"no such level":    {[]string{"--log-level", "loud"}, `--log-level "loud" must be debug, info, warn or error`},
		"no such format":   {[]string{"--log-format", "xml"}, `--log-format "xml" must be json or text`},
		"no such mode":     {[]string{"--certificate-mode", "helm"}, "must be files, selfSigned or certManager"},
		"nowhere to look":  {[]string{"--certificate-mode", "selfSigned", "--namespace", ""}, "needs --namespace"},
		"a garbled period": {[]string{"--drain-delay", "soon"}, "--drain-delay"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newCommand()
			cmd.SetArgs(c.args)
			err := cmd.ExecuteContext(t.Context())
			require.ErrorContains(t, err, c.says)
			assert.Equal(t, server.ExitUsage, server.ExitCode(err))
		})
	}
}

func TestWhatCannotBeDoneHasAnExitCodeOfItsOwn(t *testing.T) {
	cmd := newCommand()
	cmd.SetErr(&bytes.Buffer{})
	cmd.SetArgs([]string{"--kubeconfig", t.TempDir() + "/missing"})
	err := cmd.ExecuteContext(t.Context())
	require.ErrorContains(t, err, "find the API server")
	assert.Equal(t, server.ExitFailed, server.ExitCode(err))
}

func TestTheReplicaIsNamedByItsPod(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "slipway-system")
	t.Setenv("POD_NAME", "slipway-webhook-7d4b9-x2x7k")
	flags := newCommand().Flags()
	for flag, want := range map[string]string{
		"own-namespace": "[slipway-system]", "namespace": "slipway-system", "identity": "slipway-webhook-7d4b9-x2x7k",
	} {
		assert.Equal(t, want, flags.Lookup(flag).DefValue, flag)
	}
}

func TestCommandOffersTheFlagsThatChartsUse(t *testing.T) {
	usage := newCommand().UsageString()
	for _, flag := range []string{
		"--cert-dir", "--port", "--bind-address", "--metrics-bind-address", "--health-probe-bind-address",
		"--log-level", "--log-format", "--kubeconfig", "--drain-delay", "--drain-timeout", "--own-namespace",
		"--namespace", "--identity", "--certificate-mode", "--service-name",
		"--tracing-endpoint", "--tracing-sampling-ratio",
	} {
		assert.Contains(t, usage, flag+" ")
	}
}
