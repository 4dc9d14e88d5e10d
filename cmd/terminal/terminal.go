// Package terminal colours what people read, and leaves what programs read as it is.
package terminal

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// Painter colours text, or returns it as it is. The zero value never colours.
type Painter struct {
	colour bool
}

// For gives the painter for what is written to w: it colours only on a terminal, and never where NO_COLOR is set to
// anything (no-color.org).
func For(w io.Writer) Painter {
	file, ok := w.(*os.File)
	return Painter{colour: ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(file.Fd()))}
}

// Bold is for headings.
func (p Painter) Bold(text string) string { return p.paint("1", text) }

// Dim is for what can be passed over.
func (p Painter) Dim(text string) string { return p.paint("2", text) }

// Red is for what is refused or taken away.
func (p Painter) Red(text string) string { return p.paint("31", text) }

// Green is for what is added, or went well.
func (p Painter) Green(text string) string { return p.paint("32", text) }

// Yellow is for warnings.
func (p Painter) Yellow(text string) string { return p.paint("33", text) }

// Plain gives text that came from elsewhere without what a terminal obeys: each character that can't be printed is shown as Go writes it.
func Plain(text string) string {
	var plain strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			plain.WriteRune(r)
			continue
		}
		plain.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return plain.String()
}

func (p Painter) paint(code, text string) string {
	if !p.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
