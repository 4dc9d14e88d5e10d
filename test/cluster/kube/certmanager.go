package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// StartCertManager has real cert-manager work in the cluster, with its CRDs, until the test is over. The first time it is
// compiled, which takes minutes. A test that failed shows the end of its log.
func (c *Cluster) StartCertManager(tb testing.TB) {
	tb.Helper()
	started, err := c.startCertManager(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := started.stop(syscall.SIGTERM); err != nil {
			tb.Error(err)
		}
		if started.err != nil {
			tb.Errorf("cert-manager didn't end cleanly: %v", started.err)
		}
		if tb.Failed() {
			tb.Logf("cert-manager said:\n%s", started.logTail())
		}
	})
}

func (c *Cluster) startCertManager(ctx context.Context) (*child, error) {
	programs, err := CertManager.Build(ctx, c.options.Progress)
	if err != nil {
		return nil, err
	}
	crds, err := certManagerCRDs(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.Kubectl(ctx, nil, "apply", "--server-side", "-f", crds); err != nil {
		return nil, err
	}
	if err := c.AwaitCRDs(ctx, crds); err != nil {
		return nil, err
	}
	log, err := c.createLog("cert-manager")
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	cmd := command(filepath.Join(programs, "cert-manager"), "-v", "2", "-kubeconfig", c.Kubeconfig())
	cmd.Stdout, cmd.Stderr = log, log
	started, err := startChild(cmd, syscall.SIGKILL, nil)
	if err != nil {
		return nil, err
	}
	started.log = log.Name()
	return started, nil
}

// certManagerCRDs is a folder of its module. The program may be older than the modules' cache: this fetches the module
// where it isn't there.
func certManagerCRDs(ctx context.Context) (string, error) {
	root, err := repositoryDir()
	if err != nil {
		return "", err
	}
	module, err := exec.CommandContext(ctx, "go", "-C", filepath.Join(root, CertManager.folder), "mod", "download", "-json", CertManager.upstream).Output()
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", CertManager.upstream, err)
	}
	var found struct {
		Dir string `json:"Dir"`
	}
	if err := json.Unmarshal(module, &found); err != nil {
		return "", fmt.Errorf("find %s: %w", CertManager.upstream, err)
	}
	return filepath.Join(found.Dir, "deploy", "crds"), nil
}
