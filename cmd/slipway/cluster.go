package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// kubeconfig is the current one's context.
func kubeconfig() clientcmd.ClientConfig {
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
}

// namespaceOfContext is where kubectl would look. Whoever asks the cluster hears then of what is wrong with the kubeconfig.
func namespaceOfContext() string {
	if name, _, err := kubeconfig().Namespace(); err == nil && name != "" {
		return name
	}
	return defaultNamespace
}

// clusterConfig is the configuration of the current kubeconfig's context.
func clusterConfig() (*rest.Config, error) {
	config, err := kubeconfig().ClientConfig()
	if err != nil {
		return nil, failed(fmt.Errorf("find the cluster: %w; name policy files with -f to work offline", err))
	}
	return config, nil
}

// clusterClient reads from the cluster of the current kubeconfig.
func clusterClient() (client.Client, error) {
	config, err := clusterConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, failed(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, failed(fmt.Errorf("reach the cluster: %w", err))
	}
	return c, nil
}

// policiesOfCluster reads the policies that could be for a namespace, "" for all, and no others: it is enough to have rights there. Invalid
// ones are no error here: as on the cluster, they deny the pods that they match, and unreadable ones all that they could be for.
func policiesOfCluster(ctx context.Context, namespace string) (*policySet, error) {
	c, err := clusterClient()
	if err != nil {
		return nil, err
	}
	var forCluster, namespaced unstructured.UnstructuredList
	forCluster.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ClusterSpawnPolicyList"))
	if err := c.List(ctx, &forCluster); err != nil {
		return nil, failed(fmt.Errorf("list the ClusterSpawnPolicies: %w", err))
	}
	namespaced.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("SpawnPolicyList"))
	if err := c.List(ctx, &namespaced, client.InNamespace(namespace)); err != nil {
		return nil, failed(fmt.Errorf("list the SpawnPolicies of namespace %s: %w", namespace, err))
	}
	p, unreadable := policy.FromObjects(append(forCluster.Items, namespaced.Items...))
	return &policySet{Policies: p, compiled: policy.Compile(p), unreadable: unreadable}, nil
}

// labelsOfNamespace are the labels of a namespace of the cluster.
func labelsOfNamespace(ctx context.Context, name string) (map[string]string, error) {
	c, err := clusterClient()
	if err != nil {
		return nil, err
	}
	namespace := metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := c.Get(ctx, client.ObjectKey{Name: name}, &namespace); err != nil {
		return nil, failed(fmt.Errorf("get namespace %s: %w; its labels can also be given with --namespace-label", name, err))
	}
	return namespace.Labels, nil
}

// claimsOfNamespace is the metadata of the claims of a namespace of the cluster.
func claimsOfNamespace(ctx context.Context, name string) ([]metav1.PartialObjectMetadata, error) {
	c, err := clusterClient()
	if err != nil {
		return nil, err
	}
	claims := metav1.PartialObjectMetadataList{}
	claims.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaimList"))
	if err := c.List(ctx, &claims, client.InNamespace(name)); err != nil {
		return nil, failed(fmt.Errorf("list the claims of namespace %s: %w; they can also be given with --claim", name, err))
	}
	return claims.Items, nil
}
