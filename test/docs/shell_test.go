package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// look checks that the commands in a page's sh blocks and in its text are there, with these flags, targets and files.
func (c *copied) look(t *testing.T, p *page) {
	t.Helper()
	for _, b := range p.blocks {
		if b.info == shellBlock {
			for line := range strings.Lines(strings.ReplaceAll(p.text(b), "\\\n", " ")) {
				c.lookAt(t, line, fmt.Sprintf("%s:%d", p.name, p.line(b.start)))
			}
		}
	}
	for _, s := range p.spans {
		c.lookAt(t, s.code, fmt.Sprintf("%s:%d", p.name, s.line))
	}
}

func (c *copied) lookAt(t *testing.T, line, where string) {
	t.Helper()
	for _, words := range commandsOf(line) {
		if _, seen := c.looked[strings.Join(words, " ")]; seen {
			continue
		}
		c.looked[strings.Join(words, " ")] = struct{}{}
		if problem := c.missing(t, words); problem != "" {
			assert.Fail(t, problem, "%s: %s", where, strings.Join(words, " "))
		}
	}
}

var (
	comment   = regexp.MustCompile(`(^|\s)#.*`)
	quoted    = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	separator = regexp.MustCompile(`\|\|?|&&|;`)
	setting   = regexp.MustCompile(`^[A-Z_]+=`)
	// placeholder stands for a word of the reader's.
	placeholder = regexp.MustCompile(`^[A-Z]+$`)
)

// commandsOf are the words of each command in a line of shell: enough of the language for documentation.
func commandsOf(line string) [][]string {
	line = quoted.ReplaceAllStringFunc(line, func(s string) string { return strings.Map(inOneWord, s) })
	var all [][]string
	for part := range slices.Values(separator.Split(comment.ReplaceAllString(line, ""), -1)) {
		words := strings.Fields(part)
		for len(words) > 0 && setting.MatchString(words[0]) {
			words = words[1:]
		}
		if len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// inOneWord hides what would end a word.
func inOneWord(r rune) rune {
	if strings.ContainsRune(" |&;#\t", r) {
		return '_'
	}
	return r
}

// missing says what of a command isn't there. Programs that aren't ours are left alone.
func (c *copied) missing(t *testing.T, words []string) string {
	t.Helper()
	if len(words) == 1 || placeholder.MatchString(words[1]) {
		return "" // a name, or any command
	}
	switch words[0] {
	case "slipway", "bin/slipway":
		return c.missingHelp(t, "slipway", words[1:])
	case "helm":
		if problem := c.missingHelp(t, "go tool -modfile=tools/helm/go.mod helm", words[1:]); problem != "" {
			return problem
		}
		return c.missingFiles(words[1:])
	case "make":
		targets := slices.DeleteFunc(slices.Clone(words[1:]), func(w string) bool { return setting.MatchString(w) })
		if out, err := c.run(t, "make -n "+strings.Join(targets, " ")); err != nil {
			return out
		}
	}
	return ""
}

// missingHelp looks for the command and each of its flags in its help.
func (c *copied) missingHelp(t *testing.T, program string, words []string) string {
	t.Helper()
	help, found := "", ""
	for n := len(words); n >= 0 && found == ""; n-- {
		path := strings.Join(words[:n], " ")
		if strings.Contains(path, "-") || n > 2 {
			continue
		}
		help, _ = c.run(t, program+" "+path+" --help")
		_, after, _ := strings.Cut(help, "\nUsage:\n")
		if usage := regexp.MustCompile(`^  \w+( [a-z0-9]+)*`).FindString(after); strings.HasSuffix(usage, strings.TrimSpace(path)) {
			found = usage
		}
	}
	if n := len(strings.Fields(found)); n < 2 && (len(words) == 0 || !strings.HasPrefix(words[0], "-")) {
		return fmt.Sprintf("there is no such command; %s has:\n%s", program, help)
	}
	for _, w := range words {
		flag, _, _ := strings.Cut(w, "=")
		if strings.HasPrefix(flag, "-") && len(flag) > 1 && !regexp.MustCompile(`(?m)^ +.*`+regexp.QuoteMeta(flag)+`\b`).MatchString(help) {
			return "there is no flag " + flag
		}
	}
	return ""
}

// missingFiles are those of the chart that a helm command names.
func (c *copied) missingFiles(words []string) string {
	for _, w := range words {
		if strings.HasPrefix(w, "charts/") {
			if _, err := os.Stat(filepath.Join(c.folder, w)); err != nil {
				return err.Error()
			}
		}
	}
	return ""
}

func TestCommandsAreTakenFromShell(t *testing.T) {
	assert.Equal(t, [][]string{{"a", "--b=c_d"}, {"e"}}, commandsOf("X=y a --b=c_d | e # f | g\n"))
	assert.Equal(t, [][]string{{"kubectl", "-l", "'a,b_c'"}}, commandsOf("kubectl -l 'a,b c'"))
	assert.Empty(t, commandsOf("# only words"))
}
