package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/slipway-hub/slipway/cmd/terminal"
	"github.com/slipway-hub/slipway/policy"
)

// maxNamed is how many servers of a group are named to people.
const maxNamed = 5

// diffWriter is the function that writes a report in a format.
func diffWriter(format string) (func(io.Writer, *diffReport) error, error) {
	switch format {
	case "table":
		return func(w io.Writer, r *diffReport) error { return r.write(w, terminal.For(w)) }, nil
	case "markdown":
		return writeDiffMarkdown, nil
	case "json":
		return func(w io.Writer, r *diffReport) error {
			encode, err := encoder("json")
			if err != nil {
				return err
			}
			if r.Groups == nil {
				r.Groups = []*diffGroup{}
			}
			text, err := encode(r)
			if err != nil {
				return err
			}
			_, err = w.Write(text)
			return err
		}, nil
	}
	return nil, fmt.Errorf("--output %q: the formats are table, markdown and json", format)
}

// verbs of what is proposed, and of what is. They follow a number of servers.
func (r *diffReport) says(outcome string) string {
	if r.proposed {
		return map[string]string{diffDenied: "would be denied", diffChanged: "would change", diffAdmitted: "would not be denied any more"}[outcome]
	}
	return map[string]string{diffDenied: "would be denied now", diffChanged: "would be different now", diffAdmitted: "would not be denied any more"}[outcome]
}

func (r *diffReport) summary(strong func(string) string) string {
	parts := []string{fmt.Sprintf("%d the same", r.Unchanged)}
	for _, c := range []struct {
		outcome string
		count   int
	}{{diffChanged, r.Changed}, {diffDenied, r.Denied}, {diffAdmitted, r.Admitted}} {
		if c.count > 0 {
			parts = append(parts, strong(fmt.Sprintf("%d %s", c.count, r.says(c.outcome))))
		}
	}
	return counted(r.Servers) + ": " + strings.Join(parts, ", ")
}

func counted(n int) string {
	if n == 1 {
		return "1 server"
	}
	return fmt.Sprintf("%d servers", n)
}

func (g *diffGroup) named() string {
	names := g.Servers[:min(len(g.Servers), maxNamed)]
	text := strings.Join(names, ", ")
	if more := len(g.Servers) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (r *diffReport) write(w io.Writer, paint terminal.Painter) error {
	var b strings.Builder
	fmt.Fprintln(&b, paint.Bold(r.summary(func(s string) string { return s })))
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "\n%s: %s\n", paint.Bold(counted(len(g.Servers))+" "+r.says(g.Outcome)), g.named())
		for i := range g.Changes {
			g.Changes[i].write(&b, paint)
		}
		for _, d := range g.Denials {
			fmt.Fprintf(&b, "  %s\n", paint.Red(sentence(&d)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sentence(d *explainedDenial) string {
	text := string(d.Code) + ": "
	if d.Policy != nil {
		text += d.Policy.String() + ": "
	}
	if d.Field != "" {
		text += d.Field + ": "
	}
	return text + d.Message
}

func (c *diffChange) write(b *strings.Builder, paint terminal.Painter) {
	by := ""
	if c.By != nil && c.By.Policy != nil {
		by = "  " + paint.Dim("("+c.By.Policy.String()+" "+c.By.Path+")")
	}
	if c.Change == policy.FieldReplaced && c.Private {
		fmt.Fprintf(b, "  %s%s\n", paint.Yellow("! "+c.Path+": another value (not shown)"), by)
		return
	}
	switch c.Change {
	case policy.FieldAdded:
		fmt.Fprintf(b, "  %s%s\n", paint.Green("+ "+c.said(c.After)), by)
	case policy.FieldRemoved:
		fmt.Fprintf(b, "  %s\n", paint.Red("- "+c.said(c.Before)))
	case policy.FieldReplaced:
		fmt.Fprintf(b, "  %s\n  %s%s\n", paint.Red("- "+c.said(c.Before)), paint.Green("+ "+c.said(c.After)), by)
	}
}

// said is the path and what stood or will stand there.
func (c *diffChange) said(value string) string {
	switch {
	case c.Private:
		return c.Path + ": (not shown)"
	case value == "":
		return c.Path
	case strings.ContainsAny(value, "\n\r"):
		return c.Path + ": " + strconv.Quote(value)
	}
	return c.Path + ": " + value
}

// writeDiffMarkdown writes a comment for a pull request: the counts, then each group to unfold.
func writeDiffMarkdown(w io.Writer, r *diffReport) error {
	var b strings.Builder
	fmt.Fprintf(&b, "**slipway diff**: %s\n", r.summary(func(s string) string { return "**" + s + "**" }))
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "\n<details><summary><b>%s %s</b>: %s</summary>\n\n", counted(len(g.Servers)), r.says(g.Outcome), plainMarkdown(g.named()))
		if len(g.Changes) > 0 {
			b.WriteString("~~~diff\n")
			for i := range g.Changes {
				var lines strings.Builder
				g.Changes[i].write(&lines, terminal.Painter{})
				for line := range strings.Lines(lines.String()) {
					b.WriteString(strings.TrimPrefix(line, "  "))
				}
			}
			b.WriteString("~~~\n")
		}
		for _, d := range g.Denials {
			fmt.Fprintf(&b, "- %s\n", plainMarkdown(sentence(&d)))
		}
		b.WriteString("\n</details>\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// plainMarkdown has text read as it stands: a user's name is no mark-up, and calls nobody.
func plainMarkdown(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "@", "@&#8203;", "\n", " ").Replace(text)
}
