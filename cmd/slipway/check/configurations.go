package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/webhook"
)

// hook is a webhook of either kind of configuration: a validating one has all the fields of a mutating one but one.
type hook = admissionregistrationv1.MutatingWebhook

// configuration is a webhook configuration of either kind.
type configuration struct {
	kind, name  string
	labels      map[string]string
	annotations map[string]string
	webhooks    []hook
}

func (c *configuration) object() string { return c.kind + " " + c.name }

// configurations are those of the cluster.
type configurations struct {
	// nil where there is none.
	fitting, verifying, policy *configuration
	// others in the order of their names: first the mutating ones.
	others []*configuration
}

// serviceReference is whom a webhook's configuration calls.
type serviceReference struct {
	namespace, name string
	port            int32
}

func portOf(s *admissionregistrationv1.ServiceReference) int32 {
	const ofHTTPS = 443
	if s.Port == nil {
		return ofHTTPS
	}
	return *s.Port
}

// configurations reads all webhook configurations of the cluster.
func (in *installation) configurations(ctx context.Context) (*configurations, error) {
	return in.read.configurations.get(func() (*configurations, error) {
		api := in.client.AdmissionregistrationV1()
		mutating, err := api.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		validating, err := api.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		all := &configurations{}
		var errs []error
		for i := range mutating.Items {
			m := &mutating.Items[i]
			all.add(&configuration{"MutatingWebhookConfiguration", m.Name, m.Labels, m.Annotations, m.Webhooks})
		}
		for i := range validating.Items {
			v := &validating.Items[i]
			webhooks, err := asHooks(v.Webhooks)
			errs = append(errs, err)
			all.add(&configuration{"ValidatingWebhookConfiguration", v.Name, v.Labels, v.Annotations, webhooks})
		}
		return all, errors.Join(errs...)
	})
}

func (c *configurations) add(one *configuration) {
	switch {
	case one.kind[0] == 'M' && one.name == webhook.ConfigurationName:
		c.fitting = one
	case one.kind[0] == 'V' && one.name == webhook.VerifyConfigurationName:
		c.verifying = one
	case one.kind[0] == 'V' && one.name == webhook.PolicyConfigurationName:
		c.policy = one
	default:
		c.others = append(c.others, one)
	}
}

func asHooks(validating []admissionregistrationv1.ValidatingWebhook) ([]hook, error) {
	data, err := json.Marshal(validating)
	if err != nil {
		return nil, fmt.Errorf("encode webhooks: %w", err)
	}
	var hooks []hook
	if err := json.Unmarshal(data, &hooks); err != nil {
		return nil, fmt.Errorf("read webhooks: %w", err)
	}
	return hooks, nil
}

// seeConfigurations is configurations for a check that can do nothing without them.
func (in *installation) seeConfigurations(ctx context.Context) (*configurations, bool) {
	c, err := in.configurations(ctx)
	right := "list mutatingwebhookconfigurations.admissionregistration.k8s.io"
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "validatingwebhookconfigurations") {
		right = "list validatingwebhookconfigurations.admissionregistration.k8s.io"
	}
	_, seen := in.looked(right, err)
	return c, seen
}

func lookAtFitting(ctx context.Context, in *installation) []Finding {
	all, seen := in.seeConfigurations(ctx)
	if !seen {
		return nil
	}
	if all.fitting == nil {
		return []Finding{wrong(fittingObject, "", "isn't there, so nobody fits a hub's pods and the API server refuses them", in.installAgain())}
	}
	return in.compare(ctx, all.fitting, &webhook.Configuration(webhook.Endpoint{}).Webhooks[0], fits)
}

func lookAtVerifying(ctx context.Context, in *installation) []Finding {
	all, seen := in.seeConfigurations(ctx)
	if !seen {
		return nil
	}
	if all.verifying == nil {
		return []Finding{wrong(verifyingObject, "", "isn't there, so nobody sees what other webhooks and later updates do to a fitted pod", in.installAgain())}
	}
	accounts, _ := accountsOf(conditionNamed(all.verifying, launcherCondition))
	want, err := asHooks(webhook.VerifyConfiguration(webhook.Endpoint{}, accounts).Webhooks)
	if err != nil {
		return []Finding{wrong(verifyingObject, "webhooks", err.Error(), "")}
	}
	return in.compare(ctx, all.verifying, &want[0], verifies)
}

func lookAtPolicyWebhook(ctx context.Context, in *installation) []Finding {
	all, seen := in.seeConfigurations(ctx)
	if !seen {
		return nil
	}
	if all.policy == nil {
		return []Finding{wrong(policyObjectOf, "", "isn't there, so an invalid policy is stored, and stops every server that it is for", in.installAgain())}
	}
	want, err := asHooks(webhook.PolicyConfiguration(webhook.Endpoint{}).Webhooks)
	if err != nil {
		return []Finding{wrong(policyObjectOf, "webhooks", err.Error(), "")}
	}
	return in.compare(ctx, all.policy, &want[0], judges)
}

// launcherCondition is the condition of the verifying webhook that lists the launchers' accounts.
const launcherCondition = "governed-or-by-a-launcher"

func conditionNamed(c *configuration, name string) string {
	for i := range c.webhooks {
		for _, m := range c.webhooks[i].MatchConditions {
			if m.Name == name {
				return m.Expression
			}
		}
	}
	return ""
}

// listedAccounts is the list of user names in an expression of ours.
var listedAccounts = regexp.MustCompile(`request\.userInfo\.username in (\[[^\]]*\])`)

// accountsOf are the user names that an expression lists; false where it has no such list.
func accountsOf(expression string) ([]string, bool) {
	found := listedAccounts.FindStringSubmatch(expression)
	if found == nil {
		return nil, false
	}
	var accounts []string
	if err := json.Unmarshal([]byte(found[1]), &accounts); err != nil { // the quoting of CEL is JSON's
		return nil, false
	}
	return accounts, true
}
