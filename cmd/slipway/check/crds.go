package check

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// crds are those of policies. Metadata, apiVersion and kind aren't in a CRD's schema.
var crds = []struct {
	plural string
	scope  apiextensionsv1.ResourceScope
	of     any
}{
	{"clusterspawnpolicies", apiextensionsv1.ClusterScoped, struct {
		Spec   v1alpha1.SpawnPolicySpec   `json:"spec"`
		Status v1alpha1.SpawnPolicyStatus `json:"status"`
	}{}},
	{"spawnpolicies", apiextensionsv1.NamespaceScoped, struct {
		Spec   v1alpha1.SpawnPolicySpec   `json:"spec"`
		Status v1alpha1.SpawnPolicyStatus `json:"status"`
	}{}},
}

func lookAtCRDs(ctx context.Context, in *installation) []Finding {
	var found []Finding
	mend := in.installAgain() + " (with its value crds.install off: kubectl apply --server-side -f charts/slipway/files/crds)"
	for _, want := range crds {
		name := want.plural + "." + v1alpha1.GroupVersion.Group
		object := "CustomResourceDefinition " + name
		got, err := in.dynamic.Resource(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")).Get(ctx, name, metav1.GetOptions{})
		there, seen := in.looked("get customresourcedefinitions.apiextensions.k8s.io", err)
		switch {
		case !seen:
			return found
		case !there:
			found = append(found, wrong(object, "", "isn't there, so no such policy can be written or read", mend))
			continue
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(got.Object, crd); err != nil {
			found = append(found, wrong(object, "", "can't be read: "+err.Error(), mend))
			continue
		}
		for _, f := range lookAtCRD(crd, want.scope, reflect.TypeOf(want.of), mend) {
			f.Object = object
			found = append(found, f)
		}
	}
	return found
}

func lookAtCRD(crd *apiextensionsv1.CustomResourceDefinition, scope apiextensionsv1.ResourceScope, of reflect.Type, mend string) []Finding {
	var found []Finding
	established := slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
	if !established {
		found = append(found, wrong("", "status.conditions[Established]", "isn't True, so the API server doesn't serve it"+reasons(crd),
			"kubectl describe customresourcedefinition "+crd.Name+"; delete what its names conflict with"))
	}
	if crd.Spec.Scope != scope {
		found = append(found, wrong("", "spec.scope", fmt.Sprintf("is %s, must be %s, and can't be changed", crd.Spec.Scope, scope),
			"save the policies (kubectl get "+crd.Name+" -A -o yaml), delete the CRD, and "+mend))
	}
	others := slices.DeleteFunc(slices.Clone(crd.Status.StoredVersions), func(v string) bool { return v == v1alpha1.GroupVersion.Version })
	if len(others) > 0 {
		found = append(found, warning("", "status.storedVersions", "names "+strings.Join(others, ", ")+" too, which this version doesn't know: policies stored so may not be read",
			"write every policy anew (kubectl get "+crd.Name+" -A -o yaml | kubectl replace -f -), then take the version out of status.storedVersions"))
	}
	at := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == v1alpha1.GroupVersion.Version
	})
	if at < 0 || !crd.Spec.Versions[at].Served {
		return append(found, wrong("", "spec.versions", v1alpha1.GroupVersion.Version+" isn't served, so the webhook can't read policies", mend))
	}
	return append(found, lookAtVersion(&crd.Spec.Versions[at], fmt.Sprintf("spec.versions[%d]", at), of, mend)...)
}

func lookAtVersion(v *apiextensionsv1.CustomResourceDefinitionVersion, path string, of reflect.Type, mend string) []Finding {
	var found []Finding
	if v.Subresources == nil || v.Subresources.Status == nil {
		found = append(found, wrong("", path+".subresources.status", "is missing, so the webhook can't say how policies fare", mend))
	}
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		return append(found, wrong("", path+".schema", "is missing", mend))
	}
	if unknown := unknownFields(of, v.Schema.OpenAPIV3Schema, ""); len(unknown) > 0 {
		found = append(found, wrong("", path+".schema", "is older than this program: the API server drops "+some(unknown)+" from policies without a word", mend))
	}
	return found
}

// reasons are what the API server says about a CRD that it doesn't serve.
func reasons(crd *apiextensionsv1.CustomResourceDefinition) string {
	var b strings.Builder
	for _, c := range crd.Status.Conditions {
		if c.Status == apiextensionsv1.ConditionFalse && c.Message != "" {
			b.WriteString(": " + c.Message)
		}
	}
	return b.String()
}
