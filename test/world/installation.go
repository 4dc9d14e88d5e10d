package world

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/test/cluster/kube"
	"github.com/slipway-hub/slipway/webhook"
)

// Installation is a cluster as the chart leaves it, without what runs in pods: whoever made it starts the programs.
type Installation struct {
	*World
	// Webhook and Launcher are what clients with these accounts, which have the chart's rights, are made of.
	Webhook, Launcher *rest.Config
}

// Install makes CRDs, admission policies and accounts in a cluster.
func Install(ctx context.Context, c *kube.Cluster) (*Installation, error) {
	w := &World{Cluster: c, Admin: kubernetes.NewForConfigOrDie(c.Config()), Dynamic: dynamic.NewForConfigOrDie(c.Config())}
	if err := w.installCRDs(ctx); err != nil {
		return nil, err
	}
	for _, ns := range []string{HubNamespace, OwnNamespace} {
		if err := c.CreateNamespace(ctx, ns, map[string]string{"test": ns}); err != nil {
			return nil, err
		}
	}
	i := &Installation{World: w}
	rights, err := webhookRights()
	if err != nil {
		return nil, err
	}
	if i.Webhook, err = w.WebhookAccount(ctx, OwnNamespace, webhookAccount, rights); err != nil {
		return nil, err
	}
	rights, err = RenderRights(ctx, "templates/launcher/rbac.yaml", map[string]any{
		"launcherAccounts": []any{map[string]any{"namespace": HubNamespace, "name": HubAccount, "bind": true}}, // as a sidecar's
		"launcher":         map[string]any{"clusterWide": true, "deleteClaims": true},
	})
	if err != nil {
		return nil, err
	}
	if i.Launcher, err = w.Account(ctx, HubNamespace, HubAccount, rights.Everywhere); err != nil {
		return nil, err
	}
	return i, w.installChart(ctx)
}

// Register has the API server ask a webhook at a port of the loopback address, whose authority this is, and waits until it does.
func (i *Installation) Register(ctx context.Context, port int, ca []byte) error {
	at := webhook.AtAddress("127.0.0.1", port, ca)
	api := i.Admin.AdmissionregistrationV1()
	_, mutateErr := api.MutatingWebhookConfigurations().Create(ctx, webhook.Configuration(at), metav1.CreateOptions{})
	_, verifyErr := api.ValidatingWebhookConfigurations().Create(ctx, webhook.VerifyConfiguration(at, []string{userName(HubNamespace, HubAccount)}), metav1.CreateOptions{})
	_, policyErr := api.ValidatingWebhookConfigurations().Create(ctx, webhook.PolicyConfiguration(at), metav1.CreateOptions{})
	return errors.Join(mutateErr, verifyErr, policyErr, i.awaitJudge(ctx))
}
