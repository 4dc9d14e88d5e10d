package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/policy"
)

// runningRequest is what the policies of now, or those of the files, say of a pod that runs in the cluster.
func runningRequest(ctx context.Context, name string, server *serverFlags, more *inputFlags, in io.Reader) (*request, error) {
	if server.says() || more.pod != "" || more.launcher != "" || more.inlineEnv {
		return nil, invalid(errors.New("a running pod says itself whom it is for: leave out the flags that describe a server"))
	}
	labels, err := keyValues("namespace-label", more.namespaceLabels)
	if err != nil {
		return nil, invalid(err)
	}
	claims, err := claimsOf("--claim ", more.claims)
	if err != nil {
		return nil, invalid(err)
	}
	policies, err := more.files.load(ctx, policy.Namespace{Name: server.namespace, Labels: labels}, in)
	if err != nil {
		return nil, err
	}
	pod, err := podOfCluster(ctx, server.namespace, name)
	if err != nil {
		return nil, err
	}
	if _, labelled := pod.Labels[policy.LabelHub]; !labelled {
		return nil, invalid(fmt.Errorf("pod %s of namespace %s is no hub's: it has no label %s, so no policy is asked about it", name, server.namespace, policy.LabelHub))
	}
	r := &request{policies: policies.compiled, unreadable: policies.unreadable, warnings: policies.warnings, input: runningInput(pod)}
	r.input.Namespace.Labels, r.input.Claims = labels, policy.ClaimList(claims)
	err = r.askCluster(ctx, len(labels) == 0, len(more.claims) == 0)
	return r, err
}

// runningInput is what a pod that exists says of itself. What its launcher sent can only be told of one that nobody fitted: of others
// it is gone, but that policy's own annotation wasn't there.
func runningInput(pod *corev1.Pod) policy.Input {
	identity, refused := policy.IdentityOf(pod)
	in := policy.Input{
		Identity: identity, Namespace: policy.Namespace{Name: pod.Namespace}, Sent: pod, Refused: append(refused, policy.Owned(pod)...),
	}
	if policy.IsFitted(pod) {
		in.Sent = pod.DeepCopy()
		delete(in.Sent.Annotations, policy.AnnotationApplied)
	} else {
		created := pod.DeepCopy()
		// The kubelet and the scheduler write into subresources.
		created.ManagedFields = slices.DeleteFunc(created.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return e.Subresource != "" })
		in.Surplus, in.Shape = policy.Surplus(created)
	}
	return in
}

func podOfCluster(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	c, err := clusterClient()
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod); err != nil {
		return nil, failed(fmt.Errorf("get pod %s of namespace %s: %w", name, namespace, err))
	}
	return pod, nil
}
