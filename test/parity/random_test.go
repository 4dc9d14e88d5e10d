package parity

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	randomCases = flag.Int("parity.cases", 2000, "random servers that are compared with the real KubeSpawner's")
	randomSeed  = flag.Uint64("parity.seed", 1, "seed of the random servers; 0 takes another one each time")
)

// Settings and users at random, so that the rules hold and not just the samples.
func TestRandomServers(t *testing.T) {
	oracle := ForTest(t)
	if n := os.Getenv("PARITY_CASES"); n != "" {
		cases, err := strconv.Atoi(n)
		require.NoError(t, err, "PARITY_CASES")
		*randomCases = cases
	}
	for name, text := range map[string]string{
		"rapid.checks": strconv.Itoa(*randomCases), "rapid.seed": strconv.FormatUint(*randomSeed, 10),
		"rapid.shrinktime": "15s",
		// The failing case is written as a regression instead.
		"rapid.nofailfile": "true",
	} {
		require.NoError(t, flag.Set(name, text))
	}
	var figures tally
	var failing *Case
	var refused int
	t.Cleanup(func() {
		figures.print(t, "random servers")
		t.Logf("parity: of these, %d are refused by both", refused)
		if failing == nil {
			return
		}
		file, err := keep(*failing)
		if err != nil {
			t.Errorf("keep the failing case: %v", err)
			return
		}
		t.Logf("the failing case is kept in %s", file)
	})
	rapid.Check(t, func(r *rapid.T) {
		c := drawCase(r)
		lines, refusal := tryRandom(r, oracle, c)
		if failing == nil {
			figures.count(len(lines) == 0)
			if refusal {
				refused++
			}
		}
		if len(lines) > 0 {
			failing = &c
			r.Fatalf("%s\n    %v", describe(c), lines)
		}
	})
}

func tryRandom(t checker, oracle *Oracle, c Case) (lines []string, refused bool) {
	want, err := oracle.Ask(c)
	require.NoError(t, err)
	got, err := Fit(c, want)
	require.NoError(t, err, describe(c))
	lines, err = Judge(want, got)
	require.NoError(t, err, describe(c))
	return AfterConcerns(c, lines), len(got.Refused) > 0
}
