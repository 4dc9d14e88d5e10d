package docs

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLinksLeadSomewhere(t *testing.T) {
	all := map[string]*page{}
	for _, p := range pages(t) {
		all[p.name] = p
	}
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		return err == nil
	}
	for _, p := range all {
		for _, l := range p.links {
			if problem := follow(all, there, p, l.target); problem != "" {
				assert.Fail(t, problem, "%s:%d: %s", p.name, l.line, l.target)
			}
		}
	}
}

// follow says what is wrong with a link, if anything is.
func follow(all map[string]*page, there func(name string) bool, from *page, target string) string {
	to, err := url.Parse(target)
	switch {
	case err != nil:
		return err.Error()
	case to.Scheme == "https" && to.Host != "":
		return ""
	case to.Scheme != "" || to.Host != "":
		return "a link to elsewhere has to be https"
	case path.IsAbs(to.Path):
		return "a link inside the repository has to be relative"
	}
	name := from.name
	if to.Path != "" {
		name = path.Join(path.Dir(from.name), to.Path)
	}
	if !there(name) {
		return "there is no " + name
	}
	if to.Fragment == "" {
		return ""
	}
	if p := all[name]; p == nil || !slices.Contains(p.anchors, to.Fragment) {
		return "there is no heading #" + to.Fragment + " in " + name
	}
	return ""
}

func TestWrongLinksAreFound(t *testing.T) {
	p := read("docs/x.md", []byte("# A `b` (c)\n\n# A b c\n\n<a id=\"here\"></a>\n\n[x](y.md) ![](z.png)\n"))
	assert.Equal(t, []string{"a-b-c", "a-b-c-1", "here"}, p.anchors)
	assert.Equal(t, []link{{"y.md", 7}, {"z.png", 7}}, p.links)
	for target, want := range map[string]string{
		"#a-b-c":              "",
		"#a-b-c-1":            "",
		"x.md#here":           "",
		"https://example.org": "",
		"../README.md":        "there is no README.md",
		"#a":                  "there is no heading #a in docs/x.md",
		"http://example.org":  "a link to elsewhere has to be https",
		"/README.md":          "a link inside the repository has to be relative",
	} {
		there := func(name string) bool { return name == p.name }
		assert.Equal(t, want, follow(map[string]*page{p.name: p}, there, p, target), target)
	}
}
