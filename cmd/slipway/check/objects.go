package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// labelGoverned with the value true is the mark of a namespace that takes only pods of hubs.
const labelGoverned = "slipway.dev/governed"

// policyObject is a policy of either kind, as far as the checks read it.
type policyObject struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Kind     string            `json:"kind"`
	Spec     struct {
		Launchers         []v1alpha1.Launcher   `json:"launchers"`
		NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector"`
		Skeleton          v1alpha1.SkeletonMode `json:"skeleton"`
		Enforcement       v1alpha1.Enforcement  `json:"enforcement"`
		Defaults          *v1alpha1.Settings    `json:"defaults"`
		Enforced          *v1alpha1.Settings    `json:"enforced"`
	} `json:"spec"`
	Status v1alpha1.SpawnPolicyStatus `json:"status"`
}

func (p *policyObject) object() string {
	if p.Metadata.Namespace == "" {
		return p.Kind + " " + p.Metadata.Name
	}
	return p.Kind + " " + p.Metadata.Namespace + "/" + p.Metadata.Name
}

// kubectlName is the object for a command line.
func (p *policyObject) kubectlName() string {
	name := strings.ToLower(p.Kind) + "/" + p.Metadata.Name
	if p.Metadata.Namespace != "" {
		name += " --namespace " + p.Metadata.Namespace
	}
	return name
}

// isFor says whether a policy could be for pods of a namespace.
func (p *policyObject) isFor(in *installation, n *namespaceObject) bool {
	switch {
	case p.Metadata.Namespace != "":
		return p.Metadata.Namespace == n.name
	case p.Spec.NamespaceSelector == nil:
		return n.name != metav1.NamespaceSystem && n.name != in.namespace
	}
	selector, err := metav1.LabelSelectorAsSelector(p.Spec.NamespaceSelector)
	return err == nil && selector.Matches(labels.Set(n.labels))
}

// picks says whether a policy of the cluster says more of its namespaces than "all".
func (p *policyObject) picks() bool {
	return p.Metadata.Namespace == "" && !isEmpty(p.Spec.NamespaceSelector)
}

type namespaceObject struct {
	name     string
	labels   map[string]string
	deleting bool
}

func (n *namespaceObject) governed() bool { return n.labels[labelGoverned] == "true" }

// hubPod is a pod with the hub label.
type hubPod struct {
	namespace, name string
	fitted          bool
}

// policies of the cluster, those of namespaces last. Where there is no CRD, there are none.
func (in *installation) policies(ctx context.Context) ([]policyObject, bool) {
	all, err := in.read.policies.get(func() ([]policyObject, error) {
		var all []policyObject
		for _, c := range crds {
			list, err := in.dynamic.Resource(v1alpha1.GroupVersion.WithResource(c.plural)).List(ctx, metav1.ListOptions{})
			switch {
			case apierrors.IsNotFound(err):
				continue
			case err != nil:
				return nil, err
			}
			for i := range list.Items {
				p, err := asPolicy(&list.Items[i])
				if err != nil {
					return nil, err
				}
				all = append(all, *p)
			}
		}
		return all, nil
	})
	right := "list spawnpolicies.slipway.dev"
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "clusterspawnpolicies") {
		right = "list clusterspawnpolicies.slipway.dev"
	}
	_, seen := in.looked(right, err)
	return all, seen
}

func asPolicy(object *unstructured.Unstructured) (*policyObject, error) {
	p := &policyObject{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, p); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return p, nil
}

func (in *installation) namespaces(ctx context.Context) ([]namespaceObject, bool) {
	all, err := in.read.namespaces.get(func() ([]namespaceObject, error) {
		list, err := in.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var all []namespaceObject
		for i := range list.Items {
			n := &list.Items[i]
			all = append(all, namespaceObject{n.Name, n.Labels, n.DeletionTimestamp != nil})
		}
		return all, nil
	})
	_, seen := in.looked("list namespaces", err)
	return all, seen
}

// pods of hubs, by metadata alone: there may be thousands.
func (in *installation) pods(ctx context.Context) ([]hubPod, bool) {
	all, err := in.read.pods.get(func() ([]hubPod, error) {
		const page = 500
		var all []hubPod
		options := metav1.ListOptions{LabelSelector: policy.LabelHub, Limit: page}
		for {
			list, err := in.metadata.Resource(corev1.SchemeGroupVersion.WithResource("pods")).List(ctx, options)
			if err != nil {
				return nil, err
			}
			for i := range list.Items {
				p := &list.Items[i]
				_, fitted := p.Annotations[policy.AnnotationApplied]
				all = append(all, hubPod{p.Namespace, p.Name, fitted})
			}
			if options.Continue = list.Continue; options.Continue == "" {
				return all, nil
			}
		}
	})
	_, seen := in.looked("list pods", err)
	return all, seen
}

// used are the namespaces that hubs use, or are meant to, by name: those with the mark, with a policy of their own, with
// one of the cluster's that picks them, or with a hub's pods.
func (in *installation) used(ctx context.Context) []namespaceObject {
	all, _ := in.namespaces(ctx)
	policies, _ := in.policies(ctx)
	pods, _ := in.pods(ctx)
	var used []namespaceObject
	for i := range all {
		n := &all[i]
		if n.governed() ||
			slices.ContainsFunc(pods, func(p hubPod) bool { return p.namespace == n.name }) ||
			slices.ContainsFunc(policies, func(p policyObject) bool { return (p.Metadata.Namespace != "" || p.picks()) && p.isFor(in, n) }) {
			used = append(used, *n)
		}
	}
	return used
}
