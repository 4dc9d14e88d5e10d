package check

import (
	"fmt"
	"strings"
)

// some names the first few.
func some(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// argumentsOf are names for a command line; of very many the first.
func argumentsOf(names []string) string {
	const many = 20
	return strings.Join(names[:min(len(names), many)], " ")
}

// plural is "1 pod" and "2 pods".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
