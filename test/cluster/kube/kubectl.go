package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Kubectl runs the real kubectl as the admin of the cluster and returns what it
// printed. Stdin may be nil. Where kubectl fails, the error holds what it said
// on standard error, an *exec.ExitError tells its exit code, and stdout is what
// it had printed until then. Without -n the namespace is default.
func (c *Cluster) Kubectl(ctx context.Context, stdin io.Reader, args ...string) (stdout string, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.programs, "kubectl"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+c.kubeconfig,
		// What kubectl remembers of one server is wrong for the next that gets
		// the same port, and the user's preferences don't belong into a test.
		"KUBECACHEDIR="+filepath.Join(c.scratch.dir, "kubectl"),
		"KUBERC=off",
	)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s",
			strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// AwaitCRDs waits until the CRDs of files or folders, which have been applied,
// are established. kubectl wait alone fails on one that has no conditions yet.
func (c *Cluster) AwaitCRDs(ctx context.Context, files ...string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	args := []string{"wait", "--for=condition=Established", "--timeout=" + readyWithin.String()}
	for _, file := range files {
		args = append(args, "-f", file)
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		_, err := c.Kubectl(ctx, nil, args...)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for CRDs: %w", err)
		case <-tick.C:
		}
	}
}
