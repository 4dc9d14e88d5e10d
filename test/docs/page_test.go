package docs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// root is the repository, from here.
const root = "../.."

// page is one Markdown file.
type page struct {
	name   string // from the repository's root
	source []byte
	blocks []block
	links  []link
	// spans are commands in the text: `make test`.
	spans []span
	// anchors are what a link's #fragment may be.
	anchors []string
}

// block is a fenced one.
type block struct {
	// info is what stands behind the fence.
	info string
	// start and end are where its lines are in the page's source.
	start, end int
}

// span is code in a line of text.
type span struct {
	code string
	line int
}

// link is one to anything, pictures included.
type link struct {
	target string
	line   int
}

func (p *page) text(b block) string { return string(p.source[b.start:b.end]) }

// line is the number of the line at an offset.
func (p *page) line(offset int) int { return 1 + bytes.Count(p.source[:offset], []byte("\n")) }

// files are those of the repository that git has or would take.
func files(t *testing.T) []string {
	t.Helper()
	// Git refuses to answer in a checkout that another user owns.
	cmd := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err, "git ls-files")
	names := strings.Split(strings.Trim(string(out), "\x00"), "\x00")
	return slices.DeleteFunc(names, func(name string) bool { // what git has may be deleted here
		_, err := os.Lstat(filepath.Join(root, name))
		return err != nil
	})
}

// pages are all Markdown files.
func pages(t *testing.T) []*page {
	t.Helper()
	var all []*page
	for _, name := range files(t) {
		if filepath.Ext(name) == ".md" && !strings.Contains(name, "/testdata/") {
			source, err := os.ReadFile(filepath.Join(root, name))
			require.NoError(t, err)
			all = append(all, read(name, source))
		}
	}
	require.NotEmpty(t, all)
	return all
}

// read takes a page apart.
func read(name string, source []byte) *page {
	p := &page{name: name, source: source}
	tree := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(source))
	at := 0 // where the last block began: inline nodes don't say where they are
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		if n.Type() == ast.TypeBlock && n.Lines().Len() > 0 {
			at = n.Lines().At(0).Start
		}
		switch n := n.(type) {
		case *ast.FencedCodeBlock:
			if lines := n.Lines(); n.Info != nil && lines.Len() > 0 {
				p.blocks = append(p.blocks, block{info: string(n.Info.Value(source)), start: lines.At(0).Start, end: lines.At(lines.Len() - 1).Stop})
			}
		case *ast.Heading:
			p.anchors = append(p.anchors, anchor(plain(n, source), p.anchors))
		case *ast.Link:
			p.links = append(p.links, link{string(n.Destination), p.line(at)})
		case *ast.Image:
			p.links = append(p.links, link{string(n.Destination), p.line(at)})
		case *ast.AutoLink:
			p.links = append(p.links, link{string(n.URL(source)), p.line(at)})
		case *ast.CodeSpan:
			p.spans = append(p.spans, span{plain(n, source), p.line(at)})
		case *ast.RawHTML:
			p.addAnchors(string(n.Segments.Value(source)))
		case *ast.HTMLBlock:
			p.addAnchors(string(n.Lines().Value(source)))
		}
		return ast.WalkContinue, nil
	})
	return p
}

var htmlAnchor = regexp.MustCompile(`\b(?:id|name)="([^"]+)"`)

func (p *page) addAnchors(html string) {
	for _, found := range htmlAnchor.FindAllStringSubmatch(html, -1) {
		p.anchors = append(p.anchors, found[1])
	}
}

// plain is the text of a heading without its markup.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)

// anchor is how GitHub calls a heading: the second of one text gets -1.
func anchor(heading string, taken []string) string {
	name := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
	for i, unique := 1, name; ; i++ {
		if !slices.Contains(taken, unique) {
			return unique
		}
		unique = name + "-" + string(rune('0'+i))
	}
}
