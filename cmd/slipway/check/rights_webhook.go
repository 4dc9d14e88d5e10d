package check

import (
	"context"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/webhook"
)

const (
	slipwayGroup      = "slipway.dev"
	admissionGroup    = "admissionregistration.k8s.io"
	coordinationGroup = "coordination.k8s.io"
)

// webhookRights are what the webhook needs in the whole cluster.
var webhookRights = []right{
	{"list", "", "namespaces", "", "policies select namespaces by their labels"},
	{"watch", "", "namespaces", "", "policies select namespaces by their labels"},
	{"list", "", "persistentvolumeclaims", "", "a user gets the home back that he has"},
	{"watch", "", "persistentvolumeclaims", "", "a user gets the home back that he has"},
	{"list", "", "pods", "", "it makes claims and Services for them"},
	{"watch", "", "pods", "", "it makes claims and Services for them"},
	{"create", "", "persistentvolumeclaims", "", "servers have their homes there"},
	{"patch", "", "persistentvolumeclaims", "", "homes grow where policy gives more"},
	{"delete", "", "persistentvolumeclaims", "", "homes of users who are gone are deleted where policy says so"},
	{"list", "", "services", "", "hubs reach servers by them where policy says so"},
	{"watch", "", "services", "", "hubs reach servers by them where policy says so"},
	{"create", "", "services", "", "hubs reach servers by them where policy says so"},
	{"delete", "", "services", "", "hubs reach servers by them where policy says so"},
	{"list", slipwayGroup, "spawnpolicies", "", "pods are fitted by them"},
	{"watch", slipwayGroup, "spawnpolicies", "", "pods are fitted by them"},
	{"list", slipwayGroup, "clusterspawnpolicies", "", "pods are fitted by them"},
	{"watch", slipwayGroup, "clusterspawnpolicies", "", "pods are fitted by them"},
	{"update", slipwayGroup, "spawnpolicies/status", "", "it says there whether a policy is ready"},
	{"update", slipwayGroup, "clusterspawnpolicies/status", "", "it says there whether a policy is ready"},
	{"create", "", "events", "", "denials are told by Events"},
}

// ownRights are what the webhook needs in its own namespace.
var ownRights = []right{
	{"get", coordinationGroup, "leases", "", "replicas elect a leader"},
	{"list", coordinationGroup, "leases", "", "the leader follows what replicas report"},
	{"watch", coordinationGroup, "leases", "", "the leader follows what replicas report"},
	{"create", coordinationGroup, "leases", "", "each replica reports"},
	{"update", coordinationGroup, "leases", "", "replicas elect a leader"},
	{"patch", coordinationGroup, "leases", "", "each replica reports"},
	{"delete", coordinationGroup, "leases", "", "reports of replicas that ended are cleared away"},
}

// certificateRights are what the webhook needs to serve with a certificate that it reads from a Secret, and to be ready only once the API
// server trusts that.
func certificateRights(mode certificateMode) (everywhere, own []right) {
	for _, verb := range []string{"list", "watch"} {
		for _, name := range []string{selfSignedSecret, certManagerSecret, authoritySecret} {
			own = append(own, right{verb, "", "secrets", name, "it serves with the certificates there"})
		}
	}
	own = append(own, right{"update", "", "secrets", authoritySecret, "it keeps there whom to trust"})
	verbs := map[string]string{"list": "it looks whether it is trusted", "watch": "it looks whether it is trusted"}
	if mode.secret == selfSignedSecret {
		own = append(own, right{"update", "", "secrets", selfSignedSecret, "it keeps certificates there"})
		verbs["patch"] = "it publishes its authority in caBundle"
	}
	for _, verb := range slices.Sorted(maps.Keys(verbs)) {
		everywhere = append(everywhere,
			right{verb, admissionGroup, "mutatingwebhookconfigurations", webhook.ConfigurationName, verbs[verb]},
			right{verb, admissionGroup, "validatingwebhookconfigurations", webhook.VerifyConfigurationName, verbs[verb]},
			right{verb, admissionGroup, "validatingwebhookconfigurations", webhook.PolicyConfigurationName, verbs[verb]})
	}
	return everywhere, own
}

// lookAtWebhookRights asks for every right that the webhook uses.
func lookAtWebhookRights(ctx context.Context, in *installation) []Finding {
	all, seen := in.seeConfigurations(ctx)
	if !seen {
		return nil
	}
	account := userName(in.namespace, in.webhookAccount(ctx))
	needs := map[string][]right{"": webhookRights, in.namespace: ownRights}
	if in.serviceOfWebhook(ctx) != nil {
		everywhere, own := certificateRights(in.certificateMode(all))
		needs[""], needs[in.namespace] = slices.Concat(webhookRights, everywhere), slices.Concat(ownRights, own)
	}
	var found []Finding
	for _, namespace := range []string{"", in.namespace} {
		for _, r := range needs[namespace] {
			allowed, seen := in.may(ctx, account, namespace, r)
			switch {
			case !seen:
				return found
			case !allowed:
				found = append(found, wrong("ServiceAccount "+slash(account), "", fmt.Sprintf("may not %s%s: %s", r, where(namespace), r.why), in.installAgain()))
			}
		}
	}
	return found
}

// webhookAccount is the name of the account that the replicas run by.
func (in *installation) webhookAccount(ctx context.Context) string {
	d, err := in.client.AppsV1().Deployments(in.namespace).Get(ctx, webhookName, metav1.GetOptions{})
	if err != nil || d.Spec.Template.Spec.ServiceAccountName == "" {
		return webhookName
	}
	return d.Spec.Template.Spec.ServiceAccountName
}

func where(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + namespace
}

// slash is NAMESPACE/NAME of an account's user name.
func slash(account string) string {
	namespace, name := accountOf(account)
	return namespace + "/" + name
}
