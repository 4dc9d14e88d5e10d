package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
)

// sentPod is a pod that is sent instead of a bare skeleton. The zero value is a bare skeleton.
type sentPod struct {
	pod      *corev1.Pod
	identity policy.Identity
	surplus  []string
	// unreadable are the denials of what it says about itself, owned those that no policy changes, shape those that policy may.
	unreadable, owned, shape []policy.Denial
}

// sentIn reads the pod of a file: the pod itself, what it says about itself, what it has beyond a bare skeleton, and
// what no policy would admit. No file is a bare skeleton.
func sentIn(file string) (sentPod, error) {
	if file == "" {
		return sentPod{}, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return sentPod{}, err
	}
	s := sentPod{pod: &corev1.Pod{}}
	if err := yaml.UnmarshalStrict(data, s.pod); err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	if s.pod.Kind != "Pod" || s.pod.APIVersion != "v1" {
		return s, fmt.Errorf("%s: holds a %q of %q, and must hold one Pod of v1", file, s.pod.Kind, s.pod.APIVersion)
	}
	s.identity, s.unreadable = policy.IdentityOf(s.pod)
	fields, err := managedFields(s.pod)
	if err != nil {
		return s, fmt.Errorf("%s: list the fields: %w", file, err)
	}
	created := s.pod.DeepCopy()
	created.ManagedFields = fields
	s.surplus, s.shape = policy.Surplus(created)
	s.owned = policy.Owned(s.pod)
	return s, nil
}

// unreadableBeside leaves out what is said of the server beside the pod: its hub, and the user where there is one.
func (s *sentPod) unreadableBeside(user string) []policy.Denial {
	return slices.DeleteFunc(s.unreadable, func(d policy.Denial) bool {
		return d.Field == "metadata.labels["+policy.LabelHub+"]" ||
			user != "" && d.Field == "metadata.annotations["+policy.AnnotationUsername+"]"
	})
}

// unmanaged are the fields that the API server fills or looks at itself, so that they aren't in managedFields.
var unmanaged = fieldpath.NewSet(
	fieldpath.MakePathOrDie("apiVersion"),
	fieldpath.MakePathOrDie("kind"),
	fieldpath.MakePathOrDie("metadata", "creationTimestamp"),
	fieldpath.MakePathOrDie("metadata", "generation"),
	fieldpath.MakePathOrDie("metadata", "managedFields"),
	fieldpath.MakePathOrDie("metadata", "name"),
	fieldpath.MakePathOrDie("metadata", "namespace"),
	fieldpath.MakePathOrDie("metadata", "resourceVersion"),
	fieldpath.MakePathOrDie("metadata", "selfLink"),
	fieldpath.MakePathOrDie("metadata", "uid"),
	fieldpath.MakePathOrDie("status"),
)

// managedFields says what a pod was sent with, the way the API server does on CREATE.
func managedFields(pod *corev1.Pod) ([]metav1.ManagedFieldsEntry, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	typed, err := applyconfigurations.NewTypeConverter(scheme).ObjectToTyped(pod)
	if err != nil {
		return nil, err
	}
	set, err := typed.ToFieldSet()
	if err != nil {
		return nil, err
	}
	raw, err := set.RecursiveDifference(unmanaged).ToJSON()
	if err != nil {
		return nil, err
	}
	return []metav1.ManagedFieldsEntry{{
		Operation: metav1.ManagedFieldsOperationUpdate, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(string(raw)),
	}}, nil
}

// claimsOf reads the claims of files; as begins the errors.
func claimsOf(as string, files []string) ([]metav1.PartialObjectMetadata, error) {
	var claims []metav1.PartialObjectMetadata
	var problems []error
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err == nil {
			var found []metav1.PartialObjectMetadata
			found, err = claimsIn(data)
			claims = append(claims, found...)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s%s: %w", as, name, err))
		}
	}
	return claims, errors.Join(problems...)
}

// claimsIn reads the claims of one file: documents, or a list as kubectl get prints it.
func claimsIn(data []byte) ([]metav1.PartialObjectMetadata, error) {
	var claims []metav1.PartialObjectMetadata
	documents := policy.Documents(data)
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return claims, nil
		}
		if err != nil {
			return nil, err
		}
		var fields map[string]any
		if err := yaml.Unmarshal(document, &fields); err != nil {
			return nil, err
		}
		if len(fields) == 0 { // comments alone
			continue
		}
		var list struct {
			metav1.PartialObjectMetadata `json:",inline"`

			Items []metav1.PartialObjectMetadata `json:"items"`
		}
		if err := yaml.Unmarshal(document, &list); err != nil {
			return nil, err
		}
		found := list.Items
		if len(found) == 0 && list.Kind != "List" {
			found = []metav1.PartialObjectMetadata{list.PartialObjectMetadata}
		}
		for i := range found {
			if found[i].Kind != "PersistentVolumeClaim" {
				return nil, fmt.Errorf("holds a %q: only PersistentVolumeClaims belong here", found[i].Kind)
			}
		}
		claims = append(claims, found...)
	}
}
