package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/cmd/internal/server"
)

func TestWrongUsageIsToldBeforeAnythingStarts(t *testing.T) {
	bySocket := []string{"--socket", "/run/slipway/launcher.sock", "--hub", "main"}
	byTLS := []string{"--bind-address", ":8443", "--tls-cert-dir", "/tls"}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"an unknown flag":            {[]string{"--port", "1"}, "--port"},
		"an argument":                {[]string{"serve"}, `"serve"`},
		"an argument of openapi":     {[]string{"openapi", "json"}, `"json"`},
		"no such level":              {append(bySocket, "--log-level", "loud"), `--log-level "loud" must be`},
		"no way in":                  {nil, "give --socket with --hub, or --bind-address"},
		"a socket for nobody":        {[]string{"--socket", "/s"}, "--socket and --hub go together"},
		"a hub and no socket":        {append(byTLS, "--account", "a/b=c", "--hub", "main"), "--socket and --hub go together"},
		"TLS for nobody":             {byTLS, "--bind-address, --tls-cert-dir and --account go together"},
		"TLS without certificate":    {[]string{"--bind-address", ":8443", "--account", "a/b=c"}, "--bind-address, --tls-cert-dir and --account go together"},
		"an account without hub":     {append(byTLS, "--account", "jupyter/hub"), `--account "jupyter/hub" must be NAMESPACE/NAME=HUB[,HUB]`},
		"an account by its name":     {append(byTLS, "--account", "hub=main"), "must be NAMESPACE/NAME"},
		"a hub that is no label":     {append(byTLS, "--account", "jupyter/hub=ma in"), `hub "ma in" can't be the value of a label`},
		"a hub without a name":       {append(byTLS, "--account", "jupyter/hub=main,"), "an empty name"},
		"a hub of a socket likewise": {[]string{"--socket", "/s", "--hub", "-"}, `hub "-" can't be the value of a label`},
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
		"--metrics-bind-address", "--health-probe-bind-address", "--log-level", "--log-format", "--namespace", "--drain-delay", "--drain-timeout",
		"--socket", "--hub", "--bind-address", "--tls-cert-dir", "--account", "--user-namespaces", "--pod-logs", "--hopeless",
	} {
		assert.Contains(t, usage, flag+" ")
	}
}

func TestAccountsSpeakForTheirHubs(t *testing.T) {
	o := &options{hubs: []string{"main"}, accounts: []string{"jupyter/hub=main,course", "lab/hub=lab", "jupyter/hub=extra"}}
	hubs, err := o.hubsOfAccounts()
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{"jupyter/hub": {"main", "course", "extra"}, "lab/hub": {"lab"}}, hubs)
	assert.Equal(t, []string{"course", "extra", "lab", "main"}, o.allHubs())
}

func TestOpenAPIPrintsTheDescription(t *testing.T) {
	cmd := newCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"openapi"})
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	want, err := os.ReadFile("../../launcher/api/openapi.yaml")
	require.NoError(t, err)
	assert.Equal(t, string(want), out.String(), "run make generate")
}
