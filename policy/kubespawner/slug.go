package kubespawner

import (
	"html"
	"regexp"
	"strings"

	"github.com/gosimple/unidecode"
	"golang.org/x/text/unicode/norm"
)

var (
	quotes       = regexp.MustCompile(`'+`)
	entities     = regexp.MustCompile(`&(?:[A-Za-z][A-Za-z0-9]*|#[0-9]+|#x[0-9a-fA-F]+);`)
	digitCommas  = regexp.MustCompile(`([0-9]),([0-9])`)
	notInSlugs   = regexp.MustCompile(`[^-a-z0-9]+`)
	dashesInARow = regexp.MustCompile(`-{2,}`)
)

// otherLetters are those which python-slugify's table spells otherwise than ours.
var otherLetters = strings.NewReplacer(
	"Є", "E", "Ъ", "", "ъ", "", "׀", "|", "ẜ", "s", "ẝ", "s", "ẟ", "d", "€", "EUR", "Ⅎ", "",
	"し", "si", "ち", "ti", "っ", "tu", "つ", "tu", "シ", "si", "チ", "ti", "ッ", "tu", "ツ", "tu", "\u4e00", "Yi ",
)

// Slugify is the slug that KubeSpawner gives a profile from its display name. It may be empty.
func Slugify(text string) string {
	text = quotes.ReplaceAllString(text, "-")
	text = unidecode.Unidecode(otherLetters.Replace(norm.NFKD.String(text)))
	text = entities.ReplaceAllStringFunc(text, html.UnescapeString)
	text = strings.ToLower(norm.NFKD.String(text))
	text = quotes.ReplaceAllString(text, "")
	for before := ""; before != text; {
		before, text = text, digitCommas.ReplaceAllString(text, "$1$2")
	}
	text = notInSlugs.ReplaceAllString(text, "-")
	return strings.Trim(dashesInARow.ReplaceAllString(text, "-"), "-")
}
