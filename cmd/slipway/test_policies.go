package main

import (
	"fmt"

	"github.com/slipway-hub/slipway/policy"
)

// policyCache keeps the policies that tests name, and what admission says of them. That takes up to seconds, and a file whose tests
// are in a namespace each must not cost it for each of them.
type policyCache struct {
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
func (c *policyCache) load(files policyFiles, namespace policy.Namespace) (*policySet, error) {
	of := fmt.Sprintf("%q ", files)
	set, err := c.set(of, files, namespace.Name)
	if err != nil {
		return nil, err
	}
	key := of
	switch {
	case set.named.Has(namespace.Name):
		key += fmt.Sprintf("%q in %s", namespace.Labels, namespace.Name)
	case set.placed:
		key += fmt.Sprintf("%q", namespace.Labels)
	}
	err, known := c.judged[key]
	if !known {
		_, err = set.judge(namespace)
		keep(&c.judged, key, err)
	}
	return set, err
}

// set reads and compiles policies: those of which each names its namespace, or none, once.
func (c *policyCache) set(of string, files policyFiles, namespace string) (*policySet, error) {
	for _, key := range []string{of, of + namespace} {
		if r, known := c.read[key]; known {
			return r.set, r.err
		}
	}
	key := of + namespace
	r := readPolicies{}
	if r.set, r.err = files.read(namespace, nil); r.err == nil && !r.set.placed {
		key = of
	}
	keep(&c.read, key, r)
	return r.set, r.err
}
