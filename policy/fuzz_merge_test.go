package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// FuzzMerge merges three blocks of settings, weakest first. Who is given first, and which two are put together first, is nobody's
// business; and no merge changes what it merges, which others use too.
func FuzzMerge(f *testing.F) {
	for i := range blocks {
		f.Add(asJSON(treeOf(f, blocks[i])), asJSON(treeOf(f, blocks[(i+1)%len(blocks)])), asJSON(treeOf(f, blocks[(i+2)%len(blocks)])), int8(i), "alice")
	}
	f.Fuzz(func(t *testing.T, a, b, c string, priority int8, user string) {
		var texts, specs = []string{a, b, c}, make([]*v1alpha1.SpawnPolicySpec, 3)
		for i, text := range texts {
			spec, readable := specOf([]byte(`{"defaults":` + text + `}`))
			if !readable || !utf8.ValidString(text+user) {
				return
			}
			specs[i] = spec
		}
		mergeInAnyGroups(t, specs)
		shuffled(t, specs, priority, user)
	})
}

// mergeInAnyGroups merges the trees of blocks from the left and from the right.
func mergeInAnyGroups(t *testing.T, specs []*v1alpha1.SpawnPolicySpec) {
	t.Helper()
	trees := make([]tree, len(specs))
	for i, s := range specs {
		var err error
		trees[i], err = blockTree(s.Defaults)
		if err != nil {
			return
		}
	}
	before := asJSON(trees)
	merge := func(weaker, over tree) tree {
		merged, errs := mergeSettings(weaker, over, nil)
		require.Equal(t, before, asJSON(trees), "merging changes nothing in place")
		if len(errs) > 0 {
			return nil
		}
		return merged
	}
	for _, tr := range trees {
		require.Equal(t, asJSON(tr), asJSON(merge(tree{}, tr)), "over nothing")
		require.Equal(t, asJSON(tr), asJSON(merge(tr, tree{})), "nothing over it")
	}
	if merged := merge(trees[1], trees[2]); merged != nil {
		requireSays(t, merged, trees[2], "")
	}
	ab, bc := merge(trees[0], trees[1]), merge(trees[1], trees[2])
	if ab == nil || bc == nil || !agree(trees[0], trees[1], trees[2]) {
		return
	}
	left, right := merge(ab, trees[2]), merge(trees[0], bc)
	require.Equal(t, sortedLists(left), sortedLists(right))
}

// requireSays: what the stronger says stands in what was merged, but for what is merged into a list.
func requireSays(t *testing.T, merged, stronger any, path string) {
	t.Helper()
	said, isMap := stronger.(tree)
	if !isMap {
		require.Equal(t, stronger, merged, path)
		return
	}
	if _, isList := merged.([]any); isList {
		return
	}
	have, ok := merged.(tree)
	require.True(t, ok, path)
	for key, value := range said {
		require.Contains(t, have, key, path)
		requireSays(t, have[key], value, path+"."+key)
	}
}

// agree says whether blocks say the same kind of thing, maps or others, wherever they speak of the same. If not, a value between two
// maps ends what is below it, and grouping matters: {a: {x: 1}}, {a: text}, {a: {y: 2}}. Of the settings that are written as a list
// or as a map, the weakest may be a list and the others maps, if the keys are the identities.
func agree(weakest, middle, strongest tree) bool {
	for setting, value := range weakest {
		if _, isList := value.([]any); isList && definitions[setting].shape == byName {
			if !namedByKeys(middle[setting]) || !namedByKeys(strongest[setting]) {
				return false
			}
			continue
		}
		if !sameKinds(value, middle[setting]) || !sameKinds(value, strongest[setting]) {
			return false
		}
	}
	for setting, value := range middle {
		if _, also := weakest[setting]; !also && !sameKinds(value, strongest[setting]) {
			return false
		}
		if !sameKinds(value, strongest[setting]) {
			return false
		}
	}
	return true
}

func sameKinds(a, b any) bool {
	if a == nil || b == nil {
		return true
	}
	x, isMap := a.(tree)
	y, alsoMap := b.(tree)
	if !isMap || !alsoMap {
		return isMap == alsoMap
	}
	for key, value := range x {
		other, has := y[key]
		if has && (value == nil || other == nil || !sameKinds(value, other)) {
			return false
		}
	}
	return true
}

func namedByKeys(value any) bool {
	if value == nil {
		return true
	}
	keyed, ok := value.(tree)
	for _, item := range keyed {
		t, isMap := item.(tree)
		if _, has := t["name"]; has || !isMap {
			return false
		}
	}
	return ok
}

// sortedLists is a merged tree as text. What maps append to a list comes in the order of the layers from the left, and of the keys from
// the right.
func sortedLists(merged tree) string {
	sorted := tree{}
	for setting, value := range merged {
		if list, ok := value.([]any); ok && definitions[setting].shape == byName {
			list = slices.Clone(list)
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(asJSON(a), asJSON(b)) })
			value = list
		}
		sorted[setting] = value
	}
	return asJSON(sorted)
}

// shuffled has policies of these blocks, of both kinds, in every order.
func shuffled(t *testing.T, specs []*v1alpha1.SpawnPolicySpec, priority int8, user string) {
	t.Helper()
	base := decoded(t, baseline)
	all := Policies{Cluster: slices.Clone(base.Cluster)}
	for i, s := range specs {
		enforced := specs[(i+1)%len(specs)].Defaults
		spec := v1alpha1.SpawnPolicySpec{Defaults: s.Defaults, Enforced: enforced, Priority: int32(priority) * int32(i%2)}
		c := v1alpha1.ClusterSpawnPolicy{Spec: spec}
		c.Name = fmt.Sprintf("p%d", i)
		n := v1alpha1.SpawnPolicy{Spec: spec}
		n.Name, n.Namespace = c.Name, "research"
		all.Cluster, all.Namespaced = append(all.Cluster, c), append(all.Namespaced, n)
	}
	in := aliceIn("research")
	in.Identity.User, in.Provenance = user, true
	want := bytesOf(t, Compile(all), in)
	for turn := range len(all.Cluster) {
		other := Policies{Cluster: turned(all.Cluster, turn), Namespaced: turned(all.Namespaced, turn+1)}
		require.Equal(t, want, bytesOf(t, Compile(other), in))
		slices.Reverse(other.Cluster)
		require.Equal(t, want, bytesOf(t, Compile(other), in))
	}
}

func turned[T any](list []T, by int) []T {
	by %= len(list)
	return slices.Concat(list[by:], list[:by])
}
