package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-hub/slipway/cmd/terminal"
)

// width is how many columns text takes.
const width = 96

// screen writes the show.
type screen struct {
	out   io.Writer
	paint terminal.Painter
	step  int
	began time.Time
}

func newScreen(out io.Writer) *screen {
	return &screen{out: out, paint: terminal.For(out), began: time.Now()}
}

// heading begins a step.
func (s *screen) heading(text string) {
	s.step++
	fmt.Fprintf(s.out, "\n%s\n", s.paint.Bold(fmt.Sprintf("%d  %s", s.step, text)))
}

// sayf writes a paragraph.
func (s *screen) sayf(format string, args ...any) {
	for _, line := range wrapped(fmt.Sprintf(format, args...), width) {
		fmt.Fprintln(s.out, "   "+line)
	}
}

// command writes a command line that the reader could type.
func (s *screen) command(text string) {
	fmt.Fprintln(s.out, "   "+s.paint.Bold("$ "+text))
}

// done says how long something took.
func (s *screen) done(what string, since time.Time) {
	took := time.Since(since).Round(100 * time.Millisecond)
	fmt.Fprintf(s.out, "   %s %s %s\n", s.paint.Green("✓"), what, s.paint.Dim(took.String()))
}

// passed writes what came out well.
func (s *screen) passed(text string) { s.verdict("✓", text, s.paint.Green) }

// refused writes a denial.
func (s *screen) refused(text string) { s.verdict("✗", text, s.paint.Red) }

func (s *screen) verdict(mark, text string, paint func(string) string) {
	for _, line := range wrapped(text, width-2) {
		fmt.Fprintln(s.out, "   "+paint(mark+" "+line))
		mark = " "
	}
}

// Write passes on the progress of the control plane.
func (s *screen) Write(p []byte) (int, error) { return s.out.Write(p) }

// wrapped breaks text at spaces, into lines of at most limit characters where words allow it.
func wrapped(text string, limit int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= limit:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
