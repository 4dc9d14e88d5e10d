package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/test/parity"
)

// Whoever moves over tries again and again. It takes a few milliseconds; the bound is for a machine that is busy.
func TestRealHubsAreImportedWithinASecond(t *testing.T) {
	for _, h := range parity.RealHubs(t) {
		t.Run(h.Name, func(t *testing.T) {
			started := time.Now()
			got := slipway(t, "", "import", "z2jh", "-f", h.Values)
			took := time.Since(started)
			require.Equal(t, exitGood, got.code, got.err)
			assert.Less(t, took, time.Second)
			t.Logf("import z2jh: %s: %s", h.Name, took.Round(time.Millisecond))
		})
	}
}

func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		got := slipway(b, "", "import", "z2jh", "-f", toImport+"/course.yaml")
		if got.code != exitGood {
			b.Fatal(got.err)
		}
	}
}
