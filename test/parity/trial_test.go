package parity

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checker is what both testing and rapid give a test.
type checker interface {
	Helper()
	Errorf(format string, args ...any)
	FailNow()
}

// try has both sides make a server and says in what they differ; nil is equal, or different just as the exemption
// says.
func try(t checker, oracle *Oracle, c Case, exempt string) []string {
	t.Helper()
	want, err := oracle.Ask(c)
	require.NoError(t, err)
	got, err := Fit(c, want)
	require.NoError(t, err, describe(c))
	lines, err := Judge(want, got)
	require.NoError(t, err, describe(c))
	if exempt == "" {
		return AfterConcerns(c, lines)
	}
	return afterExemption(lines, got, exempt)
}

// afterExemption takes away the differences that the exemption explains which the case is marked with. An exemption without a
// difference is itself one: the list has to be exact.
func afterExemption(lines []string, got Fitted, name string) []string {
	at := slices.IndexFunc(Exemptions(), func(e Exemption) bool { return e.Name == name })
	if at < 0 {
		return append([]string{"no exemption is called " + name}, lines...)
	}
	e := Exemptions()[at]
	switch {
	case len(lines) == 0:
		return []string{"exempt by " + name + ", but there is no difference"}
	case e.isRefusal() && len(got.Refused) == 0:
		return append([]string{"exempt by " + name + ", which says that we refuse, but there is a pod"}, lines...)
	case e.isRefusal():
		return nil
	}
	return slices.DeleteFunc(lines, e.explains)
}

func describe(c Case) string {
	text, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tally counts what is equal, and prints the figure that people ask for.
type tally struct{ equal, total int }

func (f *tally) count(equal bool) {
	f.total++
	if equal {
		f.equal++
	}
}

func (f *tally) print(tb testing.TB, what string) {
	tb.Helper()
	tb.Logf("parity: %s: %d of %d equal", what, f.equal, f.total)
}

// report fails a test with the differences of one case.
func report(tb testing.TB, c Case, lines []string) bool {
	tb.Helper()
	if len(lines) == 0 {
		return true
	}
	tb.Errorf("%s\n    %s", describe(c), strings.Join(lines, "\n    "))
	return false
}

func TestMain(m *testing.M) {
	fmt.Fprintln(os.Stdout, "parity: the comparison takes no notice of:")
	for _, n := range Normalisations() {
		fmt.Fprintf(os.Stdout, "parity:   %s: %s\n", n.What, n.Why)
	}
	fmt.Fprintln(os.Stdout, "parity: KubeSpawner is deliberately not followed in:")
	for _, e := range Exemptions() {
		fmt.Fprintf(os.Stdout, "parity:   %s: %s; ours: %s\n", e.Name, e.Upstream, e.Instead)
	}
	for _, e := range HubExemptions() {
		fmt.Fprintf(os.Stdout, "parity:   hub %s: %s\n", cmp.Or(e.Hub, "*"), e.Why)
	}
	m.Run()
}
