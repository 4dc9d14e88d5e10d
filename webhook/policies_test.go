package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
)

// stored is the informers' cache: what the API server has stored.
type stored struct {
	client.Reader // nobody asks for a single object
	mu            sync.Mutex
	objects       []unstructured.Unstructured
	lists         int
	err           error
	listing       func() // called by every List, if set
}

func (s *stored) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	if s.listing != nil {
		s.listing()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	list := into.(*unstructured.UnstructuredList)
	for _, o := range s.objects {
		if o.GetKind()+"List" == list.GetKind() {
			list.Items = append(list.Items, *o.DeepCopy())
		}
	}
	return s.err
}

func (s *stored) put(t *testing.T, manifests ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects = nil
	for i, m := range manifests {
		o := unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal([]byte("apiVersion: slipway.dev/v1alpha1\n"+m), &o.Object))
		o.SetUID(types.UID(fmt.Sprint("uid-", i)))
		if o.GetGeneration() == 0 {
			o.SetGeneration(1)
		}
		s.objects = append(s.objects, o)
	}
}

const (
	launchers = `launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]`
	everybody = "kind: ClusterSpawnPolicy\nmetadata: {name: all}\nspec: {" + launchers + ", defaults: {image: a}}"
)

func aliceIn(namespace string) policy.Input {
	return policy.Input{
		Identity:  policy.Identity{Name: "jupyter-alice", Hub: "main", User: "alice"},
		Namespace: policy.Namespace{Name: namespace},
		Caller:    "system:serviceaccount:jupyter:hub",
	}
}

func apply(t *testing.T, p *policies, namespace string) policy.Result {
	t.Helper()
	result, ready, err := p.Apply(aliceIn(namespace))
	require.NoError(t, err)
	require.True(t, ready)
	return result
}

func TestPoliciesAreCompiledWhenTheyChangeAndOnlyThen(t *testing.T) {
	cache := &stored{}
	p := &policies{reader: cache, now: time.Now}
	require.ErrorContains(t, p.Ready(nil), "aren't read yet")
	_, ready, err := p.Apply(aliceIn("a"))
	require.NoError(t, err)
	require.False(t, ready)

	refresh := func() *policySet {
		require.NoError(t, p.refresh(t.Context()))
		return p.current.Load()
	}
	empty := refresh()
	require.NoError(t, p.Ready(nil))
	assert.Equal(t, policy.NoPolicy, apply(t, p, "a").Denials[0].Code)

	cache.put(t, everybody)
	first := refresh()
	assert.NotSame(t, empty, first)
	assert.Equal(t, "a", apply(t, p, "a").Pod.Spec.Containers[0].Image)

	cache.objects[0].SetResourceVersion("2") // as a new status does
	assert.Same(t, first, refresh(), "nothing has changed that a pod is made of")

	cache.put(t, strings.ReplaceAll(everybody, "image: a", "image: b"))
	cache.objects[0].SetGeneration(2)
	assert.NotSame(t, first, refresh())
	assert.Equal(t, "b", apply(t, p, "a").Pod.Spec.Containers[0].Image)

	cache.objects[0].SetUID("another") // deleted and made anew: generation starts again
	second := p.current.Load()
	assert.NotSame(t, second, refresh())

	cache.put(t)
	refresh()
	assert.Equal(t, policy.NoPolicy, apply(t, p, "a").Denials[0].Code)
}

func TestPoliciesDoNotDependOnTheCachesOrder(t *testing.T) {
	course := "kind: SpawnPolicy\nmetadata: {name: course, namespace: a}\nspec: {defaults: {image: b}}"
	cache := &stored{}
	p := &policies{reader: cache, now: time.Now}
	cache.put(t, everybody, course, strings.Replace(course, "name: course", "name: another", 1))
	require.NoError(t, p.refresh(t.Context()))
	first := p.current.Load()
	cache.objects[1], cache.objects[2] = cache.objects[2], cache.objects[1]
	require.NoError(t, p.refresh(t.Context()))
	assert.Same(t, first, p.current.Load())
}

func TestOnePolicyThatCannotBeReadStopsNobodyElse(t *testing.T) {
	for name, c := range map[string]struct {
		broken string
		denied map[string]bool // by namespace
		says   string
	}{
		"a quantity that the schema admits and Go doesn't": {
			"kind: SpawnPolicy\nmetadata: {name: broken, namespace: a}\nspec: {defaults: {memLimit: 1e1.5}}",
			map[string]bool{"a": true, "b": false}, "quantities must match",
		},
		"a number beyond its type": {
			"kind: SpawnPolicy\nmetadata: {name: broken, namespace: a}\nspec: {priority: 99999999999}",
			map[string]bool{"a": true, "b": false}, "priority",
		},
		"a field of a newer version": {
			"kind: SpawnPolicy\nmetadata: {name: broken, namespace: a}\nspec: {sandbox: strong}",
			map[string]bool{"a": true, "b": false}, `unknown field "sandbox"`,
		},
		"a field of a newer version in the cluster's policy": {
			"kind: ClusterSpawnPolicy\nmetadata: {name: broken}\nspec: {sandbox: strong}",
			map[string]bool{"a": true, "b": true}, `unknown field "sandbox"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := &stored{}
			cache.put(t, everybody, c.broken)
			p := &policies{reader: cache, now: time.Now}
			require.NoError(t, p.refresh(t.Context()))
			for namespace, denied := range c.denied {
				result := apply(t, p, namespace)
				if !denied {
					assert.Empty(t, result.Denials, namespace)
					continue
				}
				require.Len(t, result.Denials, 1, namespace)
				assert.Equal(t, policy.PolicyInvalid, result.Denials[0].Code)
				assert.Equal(t, "broken", result.Denials[0].Policy.Name)
				assert.Contains(t, result.Denials[0].Message, c.says)
			}
		})
	}
}

func TestPoliciesReportWhichAreBrokenWithoutQuotingThem(t *testing.T) {
	const secret = "s3cr3t"
	var log strings.Builder
	cache := &stored{}
	cache.put(t,
		"kind: SpawnPolicy\nmetadata: {name: typo, namespace: a}\nspec: {defaults: {environment: {TOKEN: ["+secret+"]}}}",
		"kind: SpawnPolicy\nmetadata: {name: newer, namespace: a}\nspec: {"+secret+": true}")
	p := &policies{reader: cache, now: time.Now, log: funcr.New(func(_, args string) { fmt.Fprintln(&log, args) }, funcr.Options{Verbosity: 10})}
	require.NoError(t, p.refresh(t.Context()))
	assert.Contains(t, log.String(), `"policy"="SpawnPolicy a/typo"`)
	assert.Contains(t, log.String(), "spec.defaults.environment")
	assert.Contains(t, log.String(), `"policy"="SpawnPolicy a/newer"`)
	assert.NotContains(t, log.String(), secret)
}

func TestABurstOfChangesIsOneCompilation(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	cache := &stored{listing: func() {
		entered <- struct{}{}
		<-proceed
	}}
	p := &policies{reader: cache, now: time.Now, log: logr.Discard(), changed: newSignal()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Start(ctx) }()

	<-entered // the first list of the first compilation hangs
	for range 1000 {
		p.changed.raise()
	}
	const lists = 2 // a compilation lists both kinds
	for range lists - 1 {
		proceed <- struct{}{}
		<-entered
	}
	proceed <- struct{}{}
	for range lists { // the burst's compilation
		<-entered
		proceed <- struct{}{}
	}
	cancel()
	require.NoError(t, <-ended)
	assert.Equal(t, 2*lists, cache.lists)
}

func TestAStatusIsNoNewVersionOfAPolicy(t *testing.T) {
	version := func(uid types.UID, generation int64, resourceVersion string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{}}
		o.SetUID(uid)
		o.SetGeneration(generation)
		o.SetResourceVersion(resourceVersion)
		return o
	}
	assert.True(t, sameVersion(version("a", 1, "1"), version("a", 1, "2")))
	assert.False(t, sameVersion(version("a", 1, "1"), version("a", 2, "2")))
	assert.False(t, sameVersion(version("a", 1, "1"), version("b", 1, "2")), "deleted and made anew while nobody watched")
}

func TestPoliciesTellWhenTheyWereSwappedAndHaveAHashByThen(t *testing.T) {
	cache := &stored{}
	swapped := newSignal()
	p := &policies{reader: cache, swapped: []signal{swapped}, now: time.Now}
	assert.Empty(t, p.hash())
	var hashes []string
	for _, manifests := range [][]string{nil, {everybody}} {
		cache.put(t, manifests...)
		require.NoError(t, p.refresh(t.Context()))
		assert.Len(t, swapped, 1)
		<-swapped
		require.NoError(t, p.refresh(t.Context()))
		assert.Empty(t, swapped, "nothing was swapped")
		hashes = append(hashes, p.hash())
	}
	assert.NotEqual(t, hashes[0], hashes[1])
	other := &policies{reader: cache, now: time.Now}
	require.NoError(t, other.refresh(t.Context()))
	assert.Equal(t, hashes[1], other.hash(), "another replica")
}

func TestPoliciesEndWithTheCachesError(t *testing.T) {
	broken := errors.New("the cache was stopped")
	p := &policies{reader: &stored{err: broken}, now: time.Now}
	assert.ErrorIs(t, p.Start(t.Context()), broken)
	assert.Error(t, p.Ready(nil))
}
