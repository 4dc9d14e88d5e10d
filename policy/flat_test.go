package policy

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// othersPolicies are the policies of a server, and n that select other namespaces.
func othersPolicies(tb testing.TB, n int) *Compiled {
	tb.Helper()
	text := baseline + namespaced("n", "{defaults: {image: a}}")
	for i := range n {
		text += clusterwide(fmt.Sprint("other", i), "{namespaceSelector: {matchLabels: {tier: none}}, defaults: {image: x}}")
	}
	return compiled(tb, text)
}

// What a pod costs doesn't grow with the policies of other namespaces, also where the namespace comes without the API server's own label.
func TestPoliciesOfOtherNamespacesCostNoAllocations(t *testing.T) {
	in := aliceIn("research")
	allocations := func(c *Compiled) float64 {
		return testing.AllocsPerRun(20, func() { _, _ = c.Apply(in) })
	}
	assert.InDelta(t, allocations(othersPolicies(t, 1)), allocations(othersPolicies(t, 100)), 2)
}

func BenchmarkPoliciesOfOtherNamespaces(b *testing.B) {
	for _, n := range []int{1, 1_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c, in := othersPolicies(b, n), aliceIn("research")
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.Apply(in)
			}
		})
	}
}
