package world

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// AsDenied reads a denial with the launcher's own eyes; the test ends where err is none.
func AsDenied(t testing.TB, err error) *launcher.Denied {
	t.Helper()
	require.Error(t, err, "it came through")
	denied, ok := errors.AsType[*launcher.Denied](launcher.Explain(err))
	require.True(t, ok, "not a denial: %v", err)
	return denied
}

// RequireDenied wants a denial that has this code, for this field.
func RequireDenied(t testing.TB, err error, code policy.Code, field string) {
	t.Helper()
	denied := AsDenied(t, err)
	for _, r := range denied.Reasons {
		if r.Code == code && r.Field == field {
			return
		}
	}
	t.Fatalf("no %s for %s in: %v", code, field, err)
}
