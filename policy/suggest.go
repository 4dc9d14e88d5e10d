package policy

import (
	"slices"
	"strings"

	"github.com/slipway-hub/slipway/policy/internal/spelling"
)

// DidYouMean is "; did you mean …?" for the name that is closest to the one written, or nothing.
func DidYouMean(written string, names []string) string {
	const farthest = 3
	best, distance := "", farthest+1
	slices.Sort(names)
	for _, n := range names {
		if d := spelling.Distance(strings.ToLower(written), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	if best == "" || distance*2 > len(written) {
		return ""
	}
	return "; did you mean " + best + "?"
}
