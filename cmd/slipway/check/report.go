package check

import (
	"fmt"
	"io"
	"strings"

	"github.com/slipway-hub/slipway/cmd/terminal"
)

// WriteTable writes a line for each finding, and below it what to do.
func WriteTable(w io.Writer, r *Report) error {
	paint := terminal.For(w)
	paints := map[Severity]func(string) string{
		OK: paint.Green, Note: paint.Bold, Warning: paint.Yellow, Wrong: paint.Red, Unseen: paint.Yellow,
	}
	const state = 9
	name := 0
	for i := range questions {
		name = max(name, len(questions[i].name))
	}
	indent := strings.Repeat(" ", state+name+2)
	var b strings.Builder
	for i := range r.Findings {
		f := &r.Findings[i]
		what := f.Message
		if about := strings.TrimSpace(f.Object + " " + f.Field); about != "" {
			what = paint.Bold(about) + "\n" + indent + what
		}
		fmt.Fprintf(&b, "%s%-*s  %s\n", paints[f.Severity](fmt.Sprintf("%-*s", state, f.Severity)), name, f.Check, what)
		if f.Mend != "" {
			fmt.Fprintf(&b, "%s%s %s\n", indent, paint.Dim("mend:"), f.Mend)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", paints[r.worst()](r.summary()))
	_, err := io.WriteString(w, b.String())
	return err
}

// worst is the severity that decides how it ends.
func (r *Report) worst() Severity {
	for _, s := range []Severity{Wrong, Unseen, Warning, Note} {
		if r.Count(s) > 0 {
			return s
		}
	}
	return OK
}

// summary is the last line.
func (r *Report) summary() string {
	counts := make([]string, 0, len(questions))
	for _, s := range []Severity{Wrong, Unseen, Warning, Note, OK} {
		if n := r.Count(s); n > 0 || s == Wrong {
			text := map[Severity]string{Wrong: fmt.Sprintf("%d wrong", n), Unseen: fmt.Sprintf("%d unseen", n), OK: fmt.Sprintf("%d ok", n)}[s]
			if text == "" {
				text = plural(n, string(s))
			}
			counts = append(counts, text)
		}
	}
	return "installation in namespace " + r.Namespace + ": " + strings.Join(counts, ", ")
}
