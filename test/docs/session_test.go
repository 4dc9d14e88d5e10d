package docs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The fences' words.
const (
	consoleBlock = "console"
	clusterBlock = "console cluster"
	shellBlock   = "sh"
)

// step is a command of a session, with the output that the page shows.
type step struct {
	command, output string
	// start and end are where the output is in the block.
	start, end int
}

var heredoc = regexp.MustCompile(`<<-?'?(\w+)'?`)

// session takes a console block apart. What stands before the first command is given back too.
func session(text string) (steps []step, before string) {
	at, until := 0, "" // until is the word that ends a here-document
	for line := range strings.Lines(text) {
		bare := strings.TrimRight(line, "\n")
		last := len(steps) - 1
		switch {
		case until != "" || last >= 0 && steps[last].output == "" && strings.HasSuffix(steps[last].command, "\\\n"):
			steps[last].command += line
			if bare == until {
				until = ""
			}
			steps[last].start = at + len(line)
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{command: line[2:], start: at + len(line)})
			if found := heredoc.FindStringSubmatch(line); found != nil {
				until = found[1]
			}
		case last < 0:
			before += line
		default:
			steps[last].output += line
		}
		at += len(line)
		if n := len(steps); n > 0 {
			steps[n-1].end = at
		}
	}
	return steps, before
}

func TestSessionsAreTakenApart(t *testing.T) {
	steps, before := session("$ a \\\n    --b\nout\nput\n$ cat <<EOF > x\n$ not a command\nEOF\n$ c\n")
	assert.Empty(t, before)
	assert.Equal(t, []step{
		{"a \\\n    --b\n", "out\nput\n", 14, 22},
		{"cat <<EOF > x\n$ not a command\nEOF\n", "", 58, 58},
		{"c\n", "", 62, 62},
	}, steps)
	_, before = session("no prompt\n")
	assert.Equal(t, "no prompt\n", before)
}
