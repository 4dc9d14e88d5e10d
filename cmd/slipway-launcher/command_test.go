package main

import (
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
		"an unknown flag": {[]string{"--port", "1"}, "--port"},
		"an argument":     {[]string{"serve"}, `"serve"`},
		"no such level":   {[]string{"--log-level", "loud"}, `--log-level "loud" must be`},
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

func TestCommandOffersTheFlagsThatChartsUse(t *testing.T) {
	usage := newCommand().UsageString()
	for _, flag := range []string{
		"--metrics-bind-address", "--health-probe-bind-address", "--log-level", "--log-format", "--namespace", "--drain-delay",
	} {
		assert.Contains(t, usage, flag+" ")
	}
}
