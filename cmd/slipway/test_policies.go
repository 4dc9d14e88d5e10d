package main

import (
	"fmt"
	"sync"

	"github.com/slipway-hub/slipway/policy"
)

// policyCaches has a cache for each list of files and folders that tests name, so that files of tests which name others are read side
// by side.
type policyCaches struct {
	guard sync.Mutex
	by    map[string]*policyCache
}

func (c *policyCaches) of(files policyFiles) *policyCache {
	c.guard.Lock()
	defer c.guard.Unlock()
	key := fmt.Sprintf("%q", files)
	if c.by == nil {
		c.by = map[string]*policyCache{}
	}
	if c.by[key] == nil {
		c.by[key] = &policyCache{files: files}
	}
	return c.by[key]
}

// policyCache keeps the policies that tests name, and what admission says of them. That takes up to seconds, and files whose tests
// are in a namespace each must not cost it for each of them.
type policyCache struct {
	files policyFiles

	guard  sync.Mutex // whoever waits needs what is read meanwhile
	read   map[string]readPolicies
	judged map[string]error
}

type readPolicies struct {
	set *policySet
	err error
}

// maxKept bounds each map of a cache. More is read again.
const maxKept = 256

// keep puts a value into a map of a cache.
func keep[T any](in *map[string]T, key string, value T) {
	if *in == nil || len(*in) >= maxKept {
		*in = map[string]T{}
	}
	(*in)[key] = value
}

// load reads and judges policies as a command does that is given these files. They are judged once for namespaces with the same
// labels, and once for all of those where no SpawnPolicy is, whose labels change nothing.
func (c *policyCache) load(namespace policy.Namespace) (*policySet, error) {
	c.guard.Lock()
	defer c.guard.Unlock()
	set, err := c.set(namespace.Name)
	if err != nil {
		return nil, err
	}
	key := ""
	switch {
	case set.named.Has(namespace.Name):
		key = fmt.Sprintf("%q in %s", namespace.Labels, namespace.Name)
	case set.placed:
		key = fmt.Sprintf("%q", namespace.Labels)
	}
	err, known := c.judged[key]
	if !known {
		_, err = set.judge(namespace)
		keep(&c.judged, key, err)
	}
	return set, err
}

// everywhere is the key of policies each of which names its namespace, or none: they are the same whichever is asked about.
const everywhere = ""

// set reads and compiles the policies, once where that is possible.
func (c *policyCache) set(namespace string) (*policySet, error) {
	for _, key := range []string{everywhere, namespace} {
		if r, known := c.read[key]; known {
			return r.set, r.err
		}
	}
	key := namespace
	r := readPolicies{}
	if r.set, r.err = c.files.read(namespace, nil); r.err == nil && !r.set.placed {
		key = everywhere
	}
	keep(&c.read, key, r)
	return r.set, r.err
}
