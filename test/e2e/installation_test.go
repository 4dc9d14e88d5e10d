//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

const (
	webhookName = "slipway-webhook"
	chart       = root + "/charts/slipway"
)

// TestInstallation is the life of an installation, told in order: each chapter needs those before it.
func TestInstallation(t *testing.T) {
	s := onStage(t)
	before := s.inventoryNow(t)
	for _, chapter := range []struct {
		name string
		tell func(*stage, *testing.T)
	}{
		{"helm installs it", (*stage).install},
		{"policies are applied and become ready", (*stage).applyPolicies},
		{"slipway check finds nothing wrong", (*stage).checkIsClean},
		{"helm test asks for a server", (*stage).helmTest},
		{"servers run as policy says", (*stage).serversRun},
		{"an upgrade and a rollback cost no server", (*stage).upgradeAndRollBack},
		{"a new authority costs no server", (*stage).rotate},
		{"without replicas servers are refused, clearly", (*stage).withoutReplicas},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.tell(s, t) }) {
			s.tellAbout(t)
			break
		}
	}
	t.Run("uninstalled, nothing is left", func(t *testing.T) { s.uninstall(t, before) })
}

// values are those of the first installation, of an ordinary one but for the image.
func values(more ...string) []string {
	return append([]string{
		"--namespace", ownNamespace, "--wait", "--timeout", soon.String(),
		"--set", "webhook.image.tag=" + version,
		"--set", "launcher.image.tag=" + version,
		"--set", "launcher.enabled=true",
		"--set", "launcher.tls.secretName=" + launcherCertificate,
		"--set", "launcher.accounts[0].namespace=" + hubNamespace,
		"--set", "launcher.accounts[0].name=" + hubAccount,
		"--set", "launcher.accounts[0].hubs={campus}",
		"--set", "launcherAccounts[0].namespace=" + hubNamespace,
		"--set", "launcherAccounts[0].name=" + hubAccount,
		"--set", "launcherAccounts[0].bind=true",
		"--set", "launcher.namespaces={" + strings.Join([]string{courseNamespace, loadNamespace, sampleNamespace}, ",") + "}",
		"--set", "crds.keep=false",
	}, more...)
}

func (s *stage) install(t *testing.T) {
	t.Helper()
	s.namespaces(t)
	s.giveLauncherCertificate(t)
	s.helm(t, append([]string{"install", release, chart}, values()...)...)
	deployment := s.deployment(t)
	assert.EqualValues(t, 2, deployment.Status.ReadyReplicas)
}

// launcherCertificate is the Secret of the certificate that hubs see. The chart makes none for the launcher but by cert-manager.
const launcherCertificate = "launcher-tls"

func (s *stage) giveLauncherCertificate(t *testing.T) {
	t.Helper()
	pair, err := certs.SelfSigned([]string{"slipway-launcher." + ownNamespace + ".svc"}, time.Now(), 24*time.Hour)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, pair.Write(dir))
	require.NoError(t, s.CreateNamespace(t.Context(), ownNamespace, nil))
	s.kubectl(t, "", "create", "secret", "tls", launcherCertificate, "--namespace", ownNamespace, "--cert", dir+"/tls.crt", "--key", dir+"/tls.key")
}

func (s *stage) applyPolicies(t *testing.T) {
	t.Helper()
	files := []string{"testdata/policies.yaml"}
	for _, sample := range []string{"platform", "data101"} {
		files = append(files, root+"/policy/examples/"+sample+".yaml")
	}
	for _, file := range files {
		s.kubectl(t, "", "apply", "-f", file)
		for _, condition := range []string{"Ready", "Enforced"} {
			s.kubectl(t, "", "wait", "--for=condition="+condition, "--timeout=60s", "-f", file)
		}
	}
	id := policy.Identity{Name: "jupyter-alice", Hub: "campus", User: "alice"}
	pod, err := launcher.Launch(t.Context(), s.hub(t), id, sampleNamespace, launcher.Options{DryRun: true})
	require.NoError(t, err)
	assert.Len(t, pod.Spec.Containers, 3, "the notebook and its two databases")
}

func (s *stage) checkIsClean(t *testing.T) {
	t.Helper()
	out, err := s.slipway(t, "check")
	require.NoError(t, err)
	t.Log("\n" + out)
}

func (s *stage) helmTest(t *testing.T) {
	t.Helper()
	t.Log(s.helm(t, "test", release, "--namespace", ownNamespace, "--logs", "--timeout", soon.String()))
}

func (s *stage) serversRun(t *testing.T) {
	t.Helper()
	for _, user := range []string{"alice", "bob"} {
		pod := s.launch(t, user)
		s.requirePolicyInside(t, pod, user)
	}
}

// deployment of the webhook as it is now.
func (s *stage) deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	deployment, err := s.admin.AppsV1().Deployments(ownNamespace).Get(t.Context(), webhookName, metav1.GetOptions{})
	require.NoError(t, err)
	return deployment
}

func (s *stage) upgradeAndRollBack(t *testing.T) {
	t.Helper()
	l := startLoad(t, s.hub(t), loadNamespace, hubName)
	s.helm(t, append([]string{"upgrade", release, chart}, values(
		"--set", "webhook.log.level=debug", "--set", "webhook.replicas=3")...)...)
	assert.EqualValues(t, 3, s.deployment(t).Status.ReadyReplicas)
	s.helm(t, "rollback", release, "1", "--namespace", ownNamespace, "--wait", "--timeout", soon.String())
	eventually(t, "the rollback is through", func(context.Context) error {
		if d := s.deployment(t); d.Status.Replicas != 2 || d.Status.ReadyReplicas != 2 || d.Status.UpdatedReplicas != 2 {
			return fmt.Errorf("%+v", d.Status)
		}
		return nil
	})
	l.requireNoFailure(t, "upgrade and rollback")
}

// rotate has the webhook make a new authority and certificate, and waits until the old authority is trusted no more.
func (s *stage) rotate(t *testing.T) {
	t.Helper()
	l := startLoad(t, s.hub(t), loadNamespace, hubName)
	old := s.authorities(t)
	s.kubectl(t, "", "annotate", "--overwrite", "secret", "slipway-webhook-self-signed", "--namespace", ownNamespace,
		"slipway.dev/rotate-at="+time.Now().UTC().Add(time.Second).Format(time.RFC3339))
	eventually(t, "the old authority is gone", func(context.Context) error {
		if now := s.authorities(t); len(now) == 0 || strings.Contains(now, old) {
			return errors.New("it's still trusted")
		}
		return nil
	})
	s.awaitServed(t, "slipway-webhook-self-signed")
	l.requireNoFailure(t, "rotation")
}

// authorities are the certificates that the API server trusts the webhook by.
func (s *stage) authorities(t *testing.T) string {
	t.Helper()
	c, err := s.admin.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "0-slipway", metav1.GetOptions{})
	require.NoError(t, err)
	return strings.TrimSpace(string(c.Webhooks[0].ClientConfig.CABundle))
}

// withoutReplicas: while nobody can fit a server none may start, and who asks is told why.
func (s *stage) withoutReplicas(t *testing.T) {
	t.Helper()
	s.scale(t, 0)
	ask := func() error {
		id := policy.Identity{Name: "jupyter-carol", Hub: hubName, User: "carol"}
		_, err := s.hub(t).CoreV1().Pods(courseNamespace).Create(t.Context(), launcher.Skeleton(id, courseNamespace), metav1.CreateOptions{})
		return err
	}
	eventually(t, "servers are refused", func(context.Context) error {
		if err := ask(); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
			return fmt.Errorf("got: %w", errors.Join(err, errors.New("want a failed call")))
		}
		return nil
	})
	t.Logf("without replicas: %v", ask())
	// What runs goes on, and can be annotated and deleted.
	s.kubectl(t, "", "annotate", "pod", "jupyter-alice", "--namespace", courseNamespace, "example.com/term=spring")
	s.kubectl(t, "", "delete", "pod", "jupyter-bob", "--namespace", courseNamespace, "--wait=true", "--timeout=60s")
	s.scale(t, 2)
	eventually(t, "servers start again", func(context.Context) error { return ask() })
}

func (s *stage) scale(t *testing.T, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := s.admin.AppsV1().Deployments(ownNamespace).Patch(t.Context(), webhookName, types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(t, err)
	s.kubectl(t, "", "rollout", "status", "deployment/"+webhookName, "--namespace", ownNamespace, "--timeout", soon.String())
}

func (s *stage) uninstall(t *testing.T, before map[string]bool) {
	t.Helper()
	s.helm(t, "uninstall", release, "--namespace", ownNamespace, "--wait", "--timeout", soon.String(), "--ignore-not-found")
	for _, name := range []string{ownNamespace, hubNamespace, courseNamespace, loadNamespace, sampleNamespace} {
		s.kubectl(t, "", "delete", "namespace", name, "--ignore-not-found", "--timeout", soon.String())
	}
	s.requireInventory(t, before)
}

// tellAbout shows what a failed chapter is understood by.
func (s *stage) tellAbout(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods,endpointslices,events", "-A", "-o", "wide"},
		{"describe", "pods", "--namespace", ownNamespace},
		{"logs", "--namespace", ownNamespace, "-l", "app.kubernetes.io/name=slipway", "--all-containers", "--prefix", "--tail=60"},
	} {
		out, err := s.Kubectl(context.WithoutCancel(t.Context()), nil, args...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
