package check

import (
	"fmt"
	"strings"
)

// kindOfFailure is a way in which the API server fails to reach a webhook.
type kindOfFailure struct {
	// says is a part of the API server's words.
	says []string
	// means is what that is in one sentence.
	means string
	mend  func(in *installation) string
}

// kindsOfFailure in the order in which they are tried: what is more exact comes first.
var kindsOfFailure = []kindOfFailure{
	{
		[]string{"certificate has expired or is not yet valid"}, "the webhook's certificate isn't valid now",
		func(in *installation) string {
			return fmt.Sprintf("set the clocks right, or have it renewed: kubectl rollout restart deployment/%s --namespace %s", webhookName, in.namespace)
		},
	},
	{
		[]string{"certificate signed by unknown authority", "certificate is not trusted", "unable to load root certificates", "unable to parse bytes as PEM block"},
		"the API server doesn't trust the webhook's certificate: caBundle has another authority",
		func(in *installation) string {
			return fmt.Sprintf("see the finding about caBundle above; kubectl logs deployment/%s --namespace %s", webhookName, in.namespace)
		},
	},
	{
		[]string{"certificate is valid for", "certificate is not valid for any names", "doesn't contain any IP SANs"}, "the webhook's certificate is for another name",
		func(in *installation) string {
			return fmt.Sprintf("the webhook's flags --service-name and --namespace have to name the Service: kubectl get deployment/%s --namespace %s -o yaml", webhookName, in.namespace)
		},
	},
	{
		[]string{"no endpoints available", "no service port", "not found"}, "the Service leads nowhere",
		func(in *installation) string { return in.seeReplicas() },
	},
	{
		[]string{"connection refused", "connection reset", "EOF"}, "nobody listens, so the replicas are down or start just now",
		func(in *installation) string { return in.seeReplicas() },
	},
	{
		[]string{"deadline exceeded", "i/o timeout", "Client.Timeout", "no route to host", "network is unreachable"},
		"the API server can't get through to the replicas",
		func(in *installation) string {
			return fmt.Sprintf("let the control plane reach the replicas' port, 10250 unless the chart's webhook.port says otherwise: the firewall of the nodes, and kubectl get networkpolicies --namespace %s", in.namespace)
		},
	},
	{
		[]string{"no such host"}, "the API server can't find the host",
		func(*installation) string { return "mend clientConfig.url" },
	},
}

// unreached says of the API server's words what they mean, and the mend.
func (in *installation) unreached(text string) (means, mend string) {
	for _, k := range kindsOfFailure {
		for _, s := range k.says {
			if strings.Contains(text, s) {
				return k.means, k.mend(in)
			}
		}
	}
	return "the webhook fails", fmt.Sprintf("kubectl logs deployment/%s --namespace %s", webhookName, in.namespace)
}

func (in *installation) seeReplicas() string {
	return fmt.Sprintf("kubectl rollout status deployment/%s --namespace %s; kubectl logs deployment/%s --namespace %s",
		webhookName, in.namespace, webhookName, in.namespace)
}
