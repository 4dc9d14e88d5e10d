package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	sigsjson "sigs.k8s.io/json"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Unreadable are denials for the policies of a cluster that can't even be decoded. Whom such a policy is for can't be told, so each is
// for every pod of its namespace, or of the cluster.
type Unreadable struct {
	Enforced []Denial
	// Audited deny nothing.
	Audited []Denial
}

// FromObjects reads policies as the API server has them, each by itself: whoever may write a policy in one namespace must not
// stop the others. The schema admits what Go doesn't, such as a quantity of 1e1.5.
func FromObjects(objects []unstructured.Unstructured) (Policies, Unreadable) {
	var all Policies
	var not Unreadable
	for i := range objects {
		object := &objects[i]
		spec, err := decodeSpec(object)
		switch {
		case err != nil && SaysAudit(object):
			not.Audited = append(not.Audited, unreadable(object, err))
		case err != nil:
			not.Enforced = append(not.Enforced, unreadable(object, err))
		case object.GetKind() == "ClusterSpawnPolicy":
			c := v1alpha1.ClusterSpawnPolicy{Spec: *spec}
			c.Name, c.Generation = object.GetName(), object.GetGeneration()
			all.Cluster = append(all.Cluster, c)
		default:
			n := v1alpha1.SpawnPolicy{Spec: *spec}
			n.Namespace, n.Name, n.Generation = object.GetNamespace(), object.GetName(), object.GetGeneration()
			all.Namespaced = append(all.Namespaced, n)
		}
	}
	return all, not
}

// decodeSpec is strict: a field that the CRD has and this version doesn't know, as in the middle of an upgrade, must not be ignored.
func decodeSpec(object *unstructured.Unstructured) (*v1alpha1.SpawnPolicySpec, error) {
	data, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return nil, fmt.Errorf("encode the spec: %w", err)
	}
	spec := &v1alpha1.SpawnPolicySpec{}
	unknown, err := sigsjson.UnmarshalStrict(data, spec)
	if err := errors.Join(append([]error{err}, unknown...)...); err != nil {
		return nil, err
	}
	return spec, nil
}

func unreadable(object *unstructured.Unstructured, err error) Denial {
	return Denial{
		Code:    PolicyInvalid,
		Policy:  new(RefOf(object)),
		Field:   "spec",
		Message: "can't be read: " + strings.ReplaceAll(err.Error(), "\n", ", "),
	}
}

// RefOf names a policy that may be unreadable.
func RefOf(object *unstructured.Unstructured) PolicyRef {
	return PolicyRef{Namespace: object.GetNamespace(), Name: object.GetName(), Generation: object.GetGeneration()}
}

// SaysAudit reads from a policy that may be unreadable whether it is audited.
func SaysAudit(object *unstructured.Unstructured) bool {
	text, _, err := unstructured.NestedString(object.Object, "spec", "enforcement")
	return err == nil && text == string(v1alpha1.Audit)
}

// In are the denials by those that could be for a namespace.
func (u Unreadable) In(namespace string) []Denial { return inNamespace(u.Enforced, namespace) }

// AddTo puts them into the result for a pod of a namespace.
func (u Unreadable) AddTo(r *Result, namespace string) {
	r.Denials = append(r.Denials, u.In(namespace)...)
	r.AddAudited(inNamespace(u.Audited, namespace)...)
}

func inNamespace(all []Denial, namespace string) []Denial {
	var denials []Denial
	for _, d := range all {
		if d.Policy.Namespace == "" || d.Policy.Namespace == namespace {
			denials = append(denials, d)
		}
	}
	return denials
}
