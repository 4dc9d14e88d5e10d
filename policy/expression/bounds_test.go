package expression

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nested has an operation on s done to its own result, depth times.
func nested(depth int, operation, start string) string {
	s := start
	for range depth {
		s = "[" + s + "].map(s, " + operation + ")[0]"
	}
	return s
}

// bombs cost next to nothing as CEL counts, and would take memory or time without end.
func bombs() map[string]string {
	text := "'" + strings.Repeat("a", 100) + "'"
	twenty := strings.TrimSuffix(strings.Repeat("s,", 20), ",")
	return map[string]string{
		"equal lists of lists":   nested(24, "[s,s]", "[1]") + " == " + nested(24, "[s,s]", "[1]"),
		"equal maps of maps":     nested(20, "{'a': dyn(s), 'b': s}", "dyn({'a': 1})") + " == " + nested(20, "{'a': dyn(s), 'b': s}", "dyn({'a': 1})"),
		"a list twice":           nested(30, "s+s", "[1]"),
		"format":                 nested(6, "'"+strings.Repeat("%s", 20)+"'.format(["+twenty+"])", text) + ".size()",
		"join":                   nested(6, "["+twenty+"].join('')", text) + ".size()",
		"join by much":           "lists.range(9000).map(i, 'a').join(user.annotations.a).size()",
		"replace":                "[" + text + ".replace('', " + text + ")].map(s, s + s + s).map(s, s.replace('', s))[0].size()",
		"text twice":             nested(24, "s+s", text) + ".size()",
		"sort":                   nested(22, "s+s", "[1]") + ".sort()[0]",
		"reverse":                nested(22, "s+s", "[1]") + ".reverse()[0]",
		"flatten":                nested(8, "["+twenty+"].flatten()", "[1,2,3,4,5,6,7,8,9,10]") + ".size()",
		"lists by item":          nested(6, "s.transformList(i, v, s).flatten()", "[1,2,3,4,5,6,7,8]") + ".size()",
		"range":                  "lists.range(int(user.annotations['n'])).size()",
		"ranges":                 "lists.range(10).map(i, lists.range(20000)).flatten().size()",
		"sets":                   "sets.contains(lists.range(int(user.annotations['m'])), lists.range(int(user.annotations['m'])))",
		"annotations joined":     "user.annotations.map(k, lists.range(1000).map(i, user.annotations[k])).map(l, l.join('')).map(s, s.size())",
		"digits":                 "'%.100000000f'.format([1.5]).size()",
		"exponents":              "'%.100000000e'.format([1.5]).size()",
		"quantity":               "quantity('1e2147483647').isGreaterThan(quantity('1'))",
		"quantity of a user":     "quantity(user.annotations.q).add(quantity('1')).isGreaterThan(quantity('1'))",
		"an object of one value": nested(24, "{'x': s, 'y': s}", "dyn([1])"),
	}
}

func TestBombsGoOffInside(t *testing.T) {
	v := &Variables{User: "a", UserAnnotations: map[string]string{"n": "30000000", "m": "3000", "q": "1e30000000", "a": strings.Repeat("k", 30000)}}
	for name, text := range bombs() {
		t.Run(name, func(t *testing.T) {
			p, err := Compile(text, Setting, Anything)
			if err != nil {
				return
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			started := time.Now()
			_, err = p.Value(v, nil, &Budget{})
			took := time.Since(started)
			runtime.ReadMemStats(&after)
			const most = 256 << 20
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(most), "%v", err)
			assert.Less(t, took, 5*time.Second, "%v", err)
			assert.Error(t, err)
		})
	}
}

func TestPatchesThatCopyAreBounded(t *testing.T) {
	for _, n := range []int{30, 300} {
		m, err := CompileMutation(JSONPatch, fmt.Sprintf(`[JSONPatch{op: 'add', path: '/spec/tolerations', value: ['x']}] +
			lists.range(%d).map(i, JSONPatch{op: 'copy', from: '/spec/tolerations', path: '/spec/tolerations/-'})`, n))
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = m.Apply(alice, pod(), &Budget{})
		runtime.ReadMemStats(&after)
		require.Error(t, err)
		const most = 256 << 20
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(most), "%v", err)
	}
}

// What is ordinary stays allowed.
func TestOrdinaryValuesAreNoBombs(t *testing.T) {
	rich := *alice
	for i := range 1000 {
		rich.Groups = append(rich.Groups, fmt.Sprintf("group-%04d", i))
	}
	for text, want := range map[string]any{
		"groups.map(g, {'name': g, 'mountPath': '/shared/' + g}).size()": int64(1002),
		"groups.join(',').size()":                                          int64(11 + 11*1000),
		"groups.filter(g, g.startsWith('group-')).size()":                  int64(1000),
		"'%s has %d groups, %.2f'.format([user.name, groups.size(), 1.0])": "alice has 1002 groups, 1.00",
		"user.name.replace('a', 'b')":                                      "blice",
		"quantity('1e3').isGreaterThan(quantity('1'))":                     true,
		"lists.range(3)":       []any{int64(0), int64(1), int64(2)},
		"[[1], [2]].flatten()": []any{int64(1), int64(2)},
		"url('https://x/?b=1&a=2&c=3').getQuery().map(k, k).join(',')": "a,b,c",
	} {
		p, err := Compile(text, Setting, Anything)
		require.NoError(t, err, text)
		got, err := p.Value(&rich, nil, &Budget{})
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
}
