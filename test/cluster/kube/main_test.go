package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// crashVariable makes this test binary a process that starts a cluster, says
// what it started, and does not live to stop it.
const crashVariable = "SLIPWAY_CLUSTER_CRASH"

// remains is what such a process says.
type remains struct {
	PIDs       []int
	Dir        string
	Kubeconfig string
}

func TestMain(m *testing.M) {
	if how := os.Getenv(crashVariable); how != "" {
		crash(how)
	}
	os.Exit(m.Run())
}

func crash(how string) {
	if err := startAndWait(how); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startAndWait ends when it is told to, unless something worse happens.
func startAndWait(how string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	c, err := Start(ctx, Options{Node: how == "node"})
	if err != nil {
		return err
	}
	_ = json.NewEncoder(os.Stdout).Encode(remainsOf(c))
	if how == "panic" {
		panic("as asked for")
	}
	return errors.Join(c.Wait(ctx), c.Stop())
}

func remainsOf(c *Cluster) remains {
	r := remains{Dir: c.scratch.dir, Kubeconfig: c.kubeconfig, PIDs: []int{c.scratch.cleaner.Process.Pid}}
	for _, p := range c.children {
		r.PIDs = append(r.PIDs, p.pid)
	}
	return r
}
