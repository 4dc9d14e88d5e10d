package chart

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the API server itself lets the accounts do: by the chart, and by what every account may.
func TestWhatEachAccountCanI(t *testing.T) {
	c := prepared(t)
	for golden, account := range map[string]struct {
		name, template, in string
		values             values
	}{
		"webhook-self-signed":  {"slipway-webhook", "templates/webhook/rbac.yaml", namespace, nil},
		"webhook-cert-manager": {"slipway-webhook", "templates/webhook/rbac.yaml", namespace, values{"certificates": values{"mode": "certManager"}}},
		"launcher": {"slipway-launcher", "templates/launcher/rbac.yaml", "users", values{
			"launcher": values{"enabled": true, "namespaces": []any{"users", "more-users"}},
		}},
		"launcher-at-home": {"slipway-launcher", "templates/launcher/rbac.yaml", namespace, values{
			"launcher": values{"enabled": true, "namespaces": []any{"users", "more-users"}},
		}},
	} {
		t.Run(golden, func(t *testing.T) {
			roles, says, err := template(t, account.values, "--show-only", account.template)
			require.NoError(t, err, says)
			_, err = c.Kubectl(t.Context(), strings.NewReader(roles), "apply", "-f", "-")
			require.NoError(t, err)
			t.Cleanup(func() {
				_, err := c.Kubectl(context.WithoutCancel(t.Context()), strings.NewReader(roles), "delete", "-f", "-")
				assert.NoError(t, err)
			})
			list := func() string {
				got, err := c.Kubectl(t.Context(), nil, "auth", "can-i", "--list", "--namespace", account.in,
					"--as", "system:serviceaccount:"+namespace+":"+account.name)
				require.NoError(t, err)
				return got
			}
			file := "testdata/can-i-" + golden + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(settled(t, list)), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			// The API server reads roles from its cache.
			assert.Eventually(t, func() bool { return list() == string(want) }, soon, tick)
			assert.Equal(t, string(want), list(), "if that is meant, run: go test ./test/chart -run CanI -update")
		})
	}
}
