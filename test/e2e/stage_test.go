//go:build e2e

// Package e2e installs the whole product by helm on a real node, uses it as its users do, changes it while servers are being
// created, and takes it away again.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/test/cluster/kube"
)

const (
	root    = "../.."
	release = "slipway"
	// ownNamespace is the release's.
	ownNamespace = "slipway-system"
	// The hub is nothing but this account: it launches by the library.
	hubNamespace, hubAccount = "jupyter", "hub"
	hubName                  = "main"
	// Servers of courseNamespace run; those of loadNamespace never do.
	courseNamespace, loadNamespace = "course", "load"
	// sampleNamespace is what policy/examples is for.
	sampleNamespace = "data101"

	// webhookPods selects the replicas.
	webhookPods = "app.kubernetes.io/component=webhook"

	notebookImage = "slipway.test/notebook:e2e"
	version       = "0.0.0-e2e"

	// soon bounds every wait for the cluster.
	soon = 3 * time.Minute
)

// stage is the cluster, with nothing of ours in it but images.
type stage struct {
	*kube.Cluster
	admin kubernetes.Interface
}

// stop takes away what theStage has started, be it nothing.
var stop = func() error { return nil }

var theStage = sync.OnceValues(func() (*stage, error) {
	c, err := kube.Start(context.Background(), kube.Options{Node: true, Progress: os.Stderr, LogDir: os.Getenv("E2E_LOGS")})
	if err != nil {
		return nil, err
	}
	stop = c.Stop
	s := &stage{Cluster: c}
	if s.admin, err = kubernetes.NewForConfig(c.Config()); err != nil {
		return nil, err
	}
	return s, s.loadImages(context.Background())
})

func TestMain(m *testing.M) {
	m.Run() // the process ends with its code
	if err := stop(); err != nil {
		panic(err)
	}
}

// onStage gives the cluster; the first call starts it.
func onStage(t *testing.T) *stage {
	t.Helper()
	s, err := theStage()
	require.NoError(t, err)
	return s
}

// loadImages hands the node what make images packed, and the test's own notebook server.
func (s *stage) loadImages(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "slipway-e2e-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	notebook := filepath.Join(folder, "notebook")
	compile := exec.CommandContext(ctx, "go", "build", "-o", notebook, root+"/test/images/notebook")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the notebook server: %w\n%s", err, out)
	}
	if err := kube.PackImage(ctx, os.Stderr, "--ref", notebookImage, "--binary", notebook, "--entrypoint", "/notebook", "--out", notebook+".tar"); err != nil {
		return err
	}
	for _, tar := range []string{root + "/dist/slipway-webhook.tar", root + "/dist/slipway-launcher.tar", notebook + ".tar"} {
		if err := s.LoadImage(ctx, tar); err != nil {
			return err
		}
	}
	return nil
}

// namespaces makes those that a platform team has before it installs anything.
func (s *stage) namespaces(t *testing.T) {
	t.Helper()
	for name, labels := range map[string]map[string]string{
		hubNamespace: nil, courseNamespace: {"tier": "e2e"}, loadNamespace: {"tier": "e2e"},
		sampleNamespace: {"tier": "teaching"},
	} {
		require.NoError(t, s.CreateNamespace(t.Context(), name, labels))
	}
	require.NoError(t, s.EnsureServiceAccount(t.Context(), hubNamespace, hubAccount))
	s.kubectl(t, `
apiVersion: v1
kind: ConfigMap
metadata: {name: course, namespace: `+courseNamespace+`}
data: {motto: read this}
`, "apply", "-f", "-")
}

// hub is a client with a token of the hub's account, as a pod of the hub would have it.
func (s *stage) hub(t *testing.T) kubernetes.Interface {
	t.Helper()
	const hours = 2
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(hours * 3600))}}
	got, err := s.admin.CoreV1().ServiceAccounts(hubNamespace).CreateToken(t.Context(), hubAccount, request, metav1.CreateOptions{})
	require.NoError(t, err)
	config := rest.AnonymousClientConfig(s.Config())
	config.BearerToken, config.QPS = got.Status.Token, -1
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return client
}

// kubectl runs the real one as the admin.
func (s *stage) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := s.Kubectl(t.Context(), strings.NewReader(stdin), args...)
	require.NoError(t, err)
	return out
}

// helm runs the pinned helm, as the admin, and shows what it does.
func (s *stage) helm(t *testing.T, args ...string) string {
	t.Helper()
	t.Logf("helm %s", strings.Join(args, " "))
	out, err := s.program(t.Context(), "go", append([]string{"tool", "-modfile=" + root + "/tools/helm/go.mod", "helm"}, args...)...)
	require.NoError(t, err)
	return out
}

// program runs a command of this machine with the cluster's kubeconfig, and gives its standard output.
func (s *stage) program(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig(), "NO_COLOR=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// slipway runs our own command line.
func (s *stage) slipway(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return s.program(t.Context(), filepath.Join(root, "bin", "slipway"), args...)
}

// eventually tries until it works, and fails with the last error where it never does.
func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	const every = 100 * time.Millisecond
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), every, soon, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	require.NoError(t, err, "%s: %v", what, last)
}
