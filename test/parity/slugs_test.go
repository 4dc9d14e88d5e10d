package parity

import (
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// usualLetters are those of the living alphabets that display names are written in, and punctuation.
var usualLetters = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x20, Hi: 0x7e, Stride: 1},     // ASCII
	{Lo: 0xa0, Hi: 0x17f, Stride: 1},    // Latin-1, Latin Extended-A
	{Lo: 0x391, Hi: 0x3a1, Stride: 1},   // Greek
	{Lo: 0x3a3, Hi: 0x3ce, Stride: 1},   // Greek
	{Lo: 0x400, Hi: 0x45f, Stride: 1},   // Cyrillic
	{Lo: 0x1e80, Hi: 0x1ef9, Stride: 1}, // Latin Extended Additional: Welsh, Vietnamese
	{Lo: 0x2010, Hi: 0x2027, Stride: 1}, // dashes, quotes
	{Lo: 0x20a0, Hi: 0x20b0, Stride: 1}, // currencies
	{Lo: 0x2122, Hi: 0x2122, Stride: 1}, // trade mark
}}

// A profile without a slug gets one from its display name; people's bookmarks and scripts rest on it.
func TestSlugsOfDisplayNames(t *testing.T) {
	oracle := ForTest(t)
	names := []string{
		"Demo - profile_list entry 1", "GPU (8x A100)", "Déjà Vu", "Python 3.11 & R", "\u65e5\u672c\u8a9e", "it's", "1,000 cpus",
		"<b>Bold</b>", "Ω ohm", "Pro++", "a_b", "A/B", "😀", "---", "", " x ", "don’t", "Ünï &amp; &#38; &#x26; ½ ™",
		"İstanbul ſtraße ẞ", "１２３ ｆｕｌｌ", "a.b,c;d", "1.5 GB, 2,000.5", "Москва", "Αθήνα", "\ud55c\uad6d\uc5b4", "\u4e2d\u6587 \u73af\u5883", "עברית", "العربية",
	}
	letters := rapid.StringOfN(rapid.RuneFrom([]rune("abcXYZ 019-_.,&;#'’\"/+(){}äöüßéñçøåłœæ½²™€")), 0, 30, -1)
	latin := rapid.StringOfN(rapid.RuneFrom(nil, usualLetters), 0, 20, -1)
	for i := range 500 {
		names = append(names, letters.Example(i), latin.Example(i))
	}
	profiles := make([]any, len(names))
	for i, name := range names {
		profiles[i] = map[string]any{"display_name": name}
	}
	answer, err := oracle.Profiles(Case{User: "alice", Settings: map[string]any{"profile_list": profiles}})
	require.NoError(t, err)
	var figures tally
	for i, name := range names {
		slug := kubespawner.Slugify(name)
		figures.count(slug == answer[i].Slug)
		if slug != answer[i].Slug {
			t.Errorf("%q: want %q, got %q", name, answer[i].Slug, slug)
		}
	}
	figures.print(t, "slugs")
}
