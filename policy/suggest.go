package policy

import (
	"slices"
	"strings"
)

// didYouMean is "; did you mean …?" for the name that is closest to the one written, or nothing.
func didYouMean(written string, names []string) string {
	const farthest = 3
	best, distance := "", farthest+1
	slices.Sort(names)
	for _, n := range names {
		if d := editDistance(strings.ToLower(written), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	if best == "" || distance*2 > len(written) {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance is Levenshtein's, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
