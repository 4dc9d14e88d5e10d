// Package reference_test checks the pages that are generated here: make verify says whether they are current, this whether they are
// complete.
package reference_test

import (
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

func TestEachFieldOfTheAPIHasARowWithoutAnEmptyCell(t *testing.T) {
	page := read(t, "api.md")
	types := map[reflect.Type]bool{}
	for _, root := range []any{v1alpha1.SpawnPolicy{}, v1alpha1.ClusterSpawnPolicy{}, v1alpha1.ProfileOption{}, v1alpha1.ProfileChoice{}} {
		collect(reflect.TypeOf(root), types)
	}
	require.Greater(t, len(types), 15)
	for typ := range types {
		_, section, has := strings.Cut(page, "\n## "+typ.Name()+"\n")
		if !assert.True(t, has, typ) {
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, field := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" || len(field.Index) > 1 {
				continue // embedded, and what is in it, which has a section of its own
			}
			row := regexp.MustCompile("(?m)^\\| `" + name + "` \\| (.+) \\| (optional|required) \\| (.+) \\| (.*)\\|$").FindStringSubmatch(section)
			if assert.NotNil(t, row, "%s.%s: no row, or one with an empty cell", typ, name) {
				assert.NotEqual(t, " ", row[3], "%s.%s: has no doc comment", typ, name)
				assert.Equal(t, strings.Contains(field.Tag.Get("json"), ",omit"), row[2] == "optional", "%s.%s: +optional and omitempty don't agree", typ, name)
			}
		}
	}
	assert.NotRegexp(t, "(?m)^\\| `[^`]+` \\| *\\|", page, "a value without a meaning")
}

// collect finds the struct types of the package.
func collect(t reflect.Type, into map[reflect.Type]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		collect(t.Elem(), into)
	case reflect.Struct:
		if into[t] || t.PkgPath() != reflect.TypeFor[v1alpha1.Server]().PkgPath() {
			return
		}
		into[t] = true
		for _, f := range reflect.VisibleFields(t) {
			collect(f.Type, into)
		}
	default:
	}
}

func TestTheLinksOfThePagesLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range []string{"api.md", "slipway.md", "../../policy/REFERENCE.md"} {
		found := 0
		for _, l := range link.FindAllStringSubmatch(read(t, page), -1) {
			target, err := url.Parse(l[1])
			require.NoError(t, err, "%s: %s", page, l[1])
			if target.Scheme != "" {
				continue // of Kubernetes' own documentation
			}
			found++
			file := page
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(page), target.Path)
			}
			if _, err := os.Stat(file); !assert.NoError(t, err, "%s: %s", page, l[1]) || target.Fragment == "" {
				continue
			}
			assert.Contains(t, anchors(read(t, file)), target.Fragment, "%s: %s", page, l[1])
		}
		t.Logf("%s: %d links", page, found)
	}
}

// anchors are those that headings get.
func anchors(page string) []string {
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	unwritten := regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	var all []string
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(unwritten.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(data)
}
