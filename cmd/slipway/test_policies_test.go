package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/policy"
)

func TestPoliciesOfTestsAreJudgedOnceForEachSetOfLabels(t *testing.T) {
	const head = "apiVersion: slipway.dev/v1alpha1\nkind: SpawnPolicy\nmetadata: {name: p"
	const spec = "}\nspec: {defaults: {image: a}}\n"
	for name, c := range map[string]struct {
		policy         string
		judged, copies int
	}{
		"no SpawnPolicy": {"apiVersion: slipway.dev/v1alpha1\nkind: ClusterSpawnPolicy\nmetadata: {name: p" + spec, 1, 1},
		"one that is for whichever namespace is asked about": {head + spec, 2, 10},
		"one of a namespace": {head + ", namespace: n3" + spec, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.policy), 0o600))
			cache := policyCache{files: policyFiles{file}}
			for i := range 20 {
				namespace := policy.Namespace{Name: fmt.Sprintf("n%d", i%10), Labels: map[string]string{"half": fmt.Sprint(i / 10)}}
				set, err := cache.load(namespace)
				require.NoError(t, err)
				assert.Len(t, set.compiled.Refs(), 1)
			}
			assert.Len(t, cache.judged, c.judged)
			assert.Len(t, cache.read, c.copies)
		})
	}
}

func TestTheCacheOfPoliciesIsBounded(t *testing.T) {
	var kept map[string]int
	for i := range 3 * maxKept {
		keep(&kept, fmt.Sprint(i), i)
		assert.Contains(t, kept, fmt.Sprint(i))
		assert.LessOrEqual(t, len(kept), maxKept)
	}
}
