package check

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func lookAtReplicas(ctx context.Context, in *installation) []Finding {
	object := "Deployment " + in.namespace + "/" + webhookName
	deployment, err := in.client.AppsV1().Deployments(in.namespace).Get(ctx, webhookName, metav1.GetOptions{})
	switch there, seen := in.looked("get deployments.apps in namespace "+in.namespace, err); {
	case !seen:
		return nil
	case !there && in.byURL(ctx):
		return []Finding{note(fittingObject, "webhooks[0].clientConfig.url", "is outside the cluster, so its replicas can't be seen", "")}
	case !there:
		return []Finding{wrong(object, "", "isn't there, so nobody answers the API server", in.installAgain()+"; or name its namespace with --namespace")}
	}
	wanted, ready := int32(1), deployment.Status.ReadyReplicas
	if deployment.Spec.Replicas != nil {
		wanted = *deployment.Spec.Replicas
	}
	why := fmt.Sprintf("kubectl describe pods --namespace %s --selector %s", in.namespace, metav1.FormatLabelSelector(deployment.Spec.Selector))
	var found []Finding
	switch {
	case wanted == 0:
		found = append(found, wrong(object, "spec.replicas", "is 0, so nobody answers the API server and no server starts",
			fmt.Sprintf("kubectl scale deployment/%s --namespace %s --replicas 2", webhookName, in.namespace)))
	case ready == 0:
		found = append(found, wrong(object, "status.readyReplicas", fmt.Sprintf("is 0 of %d, so nobody answers the API server and no server starts", wanted), why))
	case ready < wanted:
		found = append(found, warning(object, "status.readyReplicas", fmt.Sprintf("is %d of %d", ready, wanted), why))
	case wanted == 1:
		found = append(found, note(object, "spec.replicas", "is 1: no server starts while its node is drained", "set the chart's replicas to 2 or more"))
	}
	found = append(found, in.lookAtImage(object, deployment)...)
	if wanted > 1 {
		found = append(found, in.lookAtBudget(ctx, deployment)...)
	}
	return found
}

// lookAtImage compares versions where both are those of releases.
func (in *installation) lookAtImage(object string, deployment *appsv1.Deployment) []Finding {
	for i, c := range deployment.Spec.Template.Spec.Containers {
		image, _, _ := strings.Cut(c.Image, "@")
		tag := strings.TrimPrefix(image[strings.LastIndex(image, ":")+1:], "v")
		if i > 0 || in.version == "" || in.version == "unknown" || tag == in.version || strings.Contains(tag, "/") {
			continue
		}
		return []Finding{note(object, fmt.Sprintf("spec.template.spec.containers[%d].image", i),
			fmt.Sprintf("is version %s, and this program is %s: it may expect what the other doesn't have", tag, in.version), "use the slipway of the version that is installed")}
	}
	return nil
}

func (in *installation) lookAtBudget(ctx context.Context, deployment *appsv1.Deployment) []Finding {
	budgets, err := in.client.PolicyV1().PodDisruptionBudgets(in.namespace).List(ctx, metav1.ListOptions{})
	if _, seen := in.looked("list poddisruptionbudgets.policy in namespace "+in.namespace, err); !seen {
		return nil
	}
	for i := range budgets.Items {
		selector, err := metav1.LabelSelectorAsSelector(budgets.Items[i].Spec.Selector)
		if err == nil && selector.Matches(labels.Set(deployment.Spec.Template.Labels)) {
			return nil
		}
	}
	return []Finding{note("Deployment "+in.namespace+"/"+webhookName, "", "has no PodDisruptionBudget, so all replicas may be evicted at once", in.installAgain())}
}

func lookAtService(ctx context.Context, in *installation) []Finding {
	if _, seen := in.seeConfigurations(ctx); !seen {
		return nil
	}
	ref := in.serviceOfWebhook(ctx)
	if ref == nil {
		return nil // it is called by its URL, or nobody calls it: other checks say so
	}
	object := "Service " + ref.namespace + "/" + ref.name
	if ref.namespace != in.namespace {
		return []Finding{warning(object, "metadata.namespace", "is what the webhook configurations call, but you look at the installation in namespace "+in.namespace,
			"slipway check --namespace "+ref.namespace)}
	}
	service, err := in.client.CoreV1().Services(ref.namespace).Get(ctx, ref.name, metav1.GetOptions{})
	switch there, seen := in.looked("get services in namespace "+ref.namespace, err); {
	case !seen:
		return nil
	case !there:
		return []Finding{wrong(object, "", "isn't there, so the API server can't call the webhook", in.installAgain())}
	}
	var port *corev1.ServicePort
	for i := range service.Spec.Ports {
		if service.Spec.Ports[i].Port == ref.port {
			port = &service.Spec.Ports[i]
		}
	}
	if port == nil {
		return []Finding{wrong(object, "spec.ports", fmt.Sprintf("has no port %d, which the webhook configurations call", ref.port), in.installAgain())}
	}
	return in.lookAtEndpoints(ctx, ref, service, port)
}

func (in *installation) lookAtEndpoints(ctx context.Context, ref *serviceReference, service *corev1.Service, port *corev1.ServicePort) []Finding {
	slices, err := in.client.DiscoveryV1().EndpointSlices(ref.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{discoveryv1.LabelServiceName: ref.name}.String(),
	})
	if _, seen := in.looked("list endpointslices.discovery.k8s.io in namespace "+ref.namespace, err); !seen {
		return nil
	}
	if readyEndpoints(slices.Items, port.Name) > 0 {
		return nil
	}
	return []Finding{wrong("Service "+ref.namespace+"/"+ref.name, "spec.selector",
		"leads to no ready endpoint, so the API server can't call the webhook",
		fmt.Sprintf("kubectl get pods --namespace %s --selector %s --show-labels: where there are none, the selector or the Deployment is wrong; where they aren't ready, kubectl describe says why",
			ref.namespace, labels.Set(service.Spec.Selector)))}
}

// readyEndpoints counts those that serve a port. One without a condition is ready.
func readyEndpoints(slices []discoveryv1.EndpointSlice, port string) int {
	n := 0
	for i := range slices {
		serves := false
		for _, p := range slices[i].Ports {
			serves = serves || p.Name == nil && port == "" || p.Name != nil && *p.Name == port
		}
		for _, e := range slices[i].Endpoints {
			if serves && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				n += len(e.Addresses)
			}
		}
	}
	return n
}
