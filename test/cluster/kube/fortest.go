package kube

import (
	"context"
	"os"
	"sync"
	"testing"
)

var shared = sync.OnceValues(func() (*Cluster, error) {
	return Start(context.Background(), Options{Progress: os.Stderr})
})

// ForTest returns the control plane (etcd and API server) that all tests of
// this process share, so a test should work in a namespace of its own. The
// first call starts it. It ends with the process, and nobody needs to stop it.
// Where it can't be started, the test fails.
func ForTest(tb testing.TB) *Cluster {
	tb.Helper()
	c, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
