package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// crashVariable makes this test binary a process that starts a cluster, says
// what it started, and does not live to stop it.
const crashVariable = "SLIPWAY_CLUSTER_CRASH"

// remains is what such a process says.
type remains struct {
	PIDs []int
	Dir  string
}

func TestMain(m *testing.M) {
	if how := os.Getenv(crashVariable); how != "" {
		crash(how)
	}
	os.Exit(m.Run())
}

func crash(how string) {
	c, err := Start(context.Background(), Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(remainsOf(c))
	if how == "panic" {
		panic("as asked for")
	}
	select {} // until somebody kills it
}

func remainsOf(c *Cluster) remains {
	r := remains{Dir: c.scratch.dir, PIDs: []int{c.scratch.cleaner.Process.Pid}}
	for _, p := range c.children {
		r.PIDs = append(r.PIDs, p.pid)
	}
	return r
}
