package kubespawner

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestProfilesAreCalledAsByPythonSlugify(t *testing.T) {
	for display, slug := range map[string]string{
		"Demo - profile_list entry 1": "demo-profile-list-entry-1",
		"GPU (8x A100)":               "gpu-8x-a100",
		"Déjà Vu":                     "deja-vu",
		"Python 3.11 & R":             "python-3-11-r",
		"\u65e5\u672c\u8a9e":          "ri-ben-yu",
		"it's":                        "it-s",
		"1,000 cpus":                  "1000-cpus",
		"1,,0,0,0":                    "1-000",
		"<b>Bold</b>":                 "b-bold-b",
		"Ω ohm":                       "o-ohm",
		"Pro++":                       "pro",
		"a_b":                         "a-b",
		"A/B":                         "a-b",
		"R &amp; D":                   "r-d",
		"caf&eacute;":                 "cafe",
		"x&#233;y &#x41;":             "xe-y-a",
		"Straße €5 Ъ":                 "strasse-eur5",
		"シつ":                          "situ",
		"😀":                           "",
		"---":                         "",
		"":                            "",
	} {
		assert.Equal(t, slug, Slugify(display), display)
	}
}
