package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Surplus tells what the caller of a create request sent beyond a bare skeleton, from the pod as a mutating webhook
// gets it.
//
// The pod alone doesn't say it: by then the API server has defaulted it and in-tree admission has added volumes,
// tolerations and resources. managedFields does: on CREATE it has exactly one entry, which the API server itself
// computes from what was sent, before admission, so a caller can't forge it. That entry includes defaults, hence a
// path counts only if its value isn't the one that a bare skeleton is defaulted to.
//
// paths are in the form metadata.labels[foo] or spec.containers[notebook].image, sorted, nil if there are none.
// denials are of a shape from which the paths can't be told. They hold unless the mode is Keep, which only policy knows.
func Surplus(pod *corev1.Pod) (paths []string, denials []Denial) {
	denials = skeletonShape(pod)
	sent, err := sentFields(pod.ManagedFields)
	if err != nil {
		return nil, append(denials, denyf(SkeletonNotBare, nil, "metadata.managedFields",
			"what the caller sent can't be told from what the cluster added: %v", err))
	}
	sent.Leaves().Iterate(func(p fieldpath.Path) {
		if !isBare(p, pod) {
			paths = append(paths, sentPath(p))
		}
	})
	slices.Sort(paths)
	return paths, denials
}

// Owned refuses, in every mode, what decides over a pod's life: a finalizer keeps a stopped server from going away, and an owner
// may adopt and delete it (a ReplicaSet with 0 replicas deletes all that it owns).
func Owned(pod *corev1.Pod) []Denial {
	var denials []Denial
	if len(pod.Finalizers) > 0 {
		denials = append(denials, denyf(SkeletonNotBare, nil, "metadata.finalizers",
			"a skeleton has no finalizers: leave %s out", strings.Join(pod.Finalizers, ", ")))
	}
	return append(denials, ownerDenials(pod)...)
}

func ownerDenials(pod *corev1.Pod) []Denial {
	var denials []Denial
	for _, o := range pod.OwnerReferences {
		denials = append(denials, denyf(SkeletonNotBare, nil, "metadata.ownerReferences",
			"a skeleton has no owner: leave %s %s out", o.Kind, o.Name))
	}
	return denials
}

// skeletonShape refuses any other list of containers than the one of a skeleton. With two containers of one name,
// managedFields holds none of their fields.
func skeletonShape(pod *corev1.Pod) []Denial {
	if len(pod.Spec.Containers) != 1 {
		return []Denial{denyf(SkeletonNotBare, nil, "spec.containers",
			"a skeleton has one container, named %s, and this pod has %d", NotebookContainer, len(pod.Spec.Containers))}
	}
	if name := pod.Spec.Containers[0].Name; name != NotebookContainer {
		return []Denial{denyf(SkeletonNotBare, nil, "spec.containers[0].name",
			"the container of a skeleton is named %s, not %q", NotebookContainer, name)}
	}
	return nil
}

// sentFields reads the one entry of managedFields.
func sentFields(entries []metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	if len(entries) != 1 {
		return nil, fmt.Errorf("one entry is expected on CREATE, and there are %d", len(entries))
	}
	if entries[0].FieldsV1 == nil {
		return nil, errors.New("its entry holds no fields")
	}
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(entries[0].FieldsV1.GetRawBytes())); err != nil {
		return nil, fmt.Errorf("read its entry: %w", err)
	}
	return set, nil
}

// isBare says whether a bare skeleton has this path with this value too. The pod's values are those that the caller
// sent, unless a MutatingAdmissionPolicy changed them: a cluster that changes the defaults below gets denials.
func isBare(p fieldpath.Path, pod *corev1.Pod) bool {
	switch fieldName(p, 0) {
	case "metadata":
		return isBareMetadata(p)
	case "spec":
		if len(p) == 2 {
			return isPodDefault(fieldName(p, 1), &pod.Spec)
		}
		if fieldName(p, 1) != "containers" || listKey(p[2]) != NotebookContainer || len(pod.Spec.Containers) != 1 {
			return false
		}
		return len(p) == 3 || len(p) == 4 && isContainerDefault(fieldName(p, 3), &pod.Spec.Containers[0])
	}
	return false
}

func isBareMetadata(p fieldpath.Path) bool {
	switch fieldName(p, 1) {
	case "name", "namespace":
		return true
	case "labels":
		// The path of the map itself is a leaf only if the map is empty.
		return len(p) == 2 || IsIdentityLabel(fieldName(p, 2))
	case "annotations":
		// Client-side kubectl apply writes its own. It is dropped like everything else, only not worth a denial.
		key := fieldName(p, 2)
		return len(p) == 2 || IsIdentityAnnotation(key) || key == corev1.LastAppliedConfigAnnotation
	case "finalizers", "ownerReferences":
		return true // Owned names them already
	}
	return false
}

// isPodDefault knows the values that the API server gives every pod; field is the name of a leaf.
func isPodDefault(field string, spec *corev1.PodSpec) bool {
	switch field {
	case "restartPolicy":
		return spec.RestartPolicy == corev1.RestartPolicyAlways
	case "dnsPolicy":
		return spec.DNSPolicy == corev1.DNSClusterFirst
	case "schedulerName":
		return spec.SchedulerName == corev1.DefaultSchedulerName
	case "terminationGracePeriodSeconds":
		s := spec.TerminationGracePeriodSeconds
		return s != nil && *s == corev1.DefaultTerminationGracePeriodSeconds
	case "enableServiceLinks":
		return spec.EnableServiceLinks != nil && *spec.EnableServiceLinks == corev1.DefaultEnableServiceLinks
	case "securityContext":
		return true // a leaf only if it is empty
	}
	return false
}

// isContainerDefault knows the values that the API server gives every container; field is the name of a leaf.
func isContainerDefault(field string, c *corev1.Container) bool {
	switch field {
	case "name":
		return true
	case "imagePullPolicy":
		// In-tree admission AlwaysPullImages sets Always before we see the pod.
		return c.ImagePullPolicy == corev1.PullIfNotPresent || c.ImagePullPolicy == corev1.PullAlways
	case "terminationMessagePath":
		return c.TerminationMessagePath == corev1.TerminationMessagePathDefault
	case "terminationMessagePolicy":
		return c.TerminationMessagePolicy == corev1.TerminationMessageReadFile
	case "resources":
		return true // a leaf only if it was sent empty, whatever LimitRange has put there since
	}
	return false
}

// fieldName is the name of the field at one place of a path, or "".
func fieldName(p fieldpath.Path, at int) string {
	if at >= len(p) || p[at].FieldName == nil {
		return ""
	}
	return *p[at].FieldName
}

// listKey is the value of a list item's single key, or "".
func listKey(e fieldpath.PathElement) string {
	if e.Key == nil || len(*e.Key) != 1 || !(*e.Key)[0].Value.IsString() {
		return ""
	}
	return (*e.Key)[0].Value.AsString()
}

// stringMaps are the fields of a pod whose children are keys that somebody chose.
var stringMaps = []string{"labels", "annotations", "nodeSelector", "limits", "requests", "matchLabels", "overhead"}

// sentPath writes a path as people write it: fields with dots, keys of maps and list items in brackets.
func sentPath(p fieldpath.Path) string {
	var b strings.Builder
	for i, e := range p {
		switch {
		case e.FieldName == nil:
			b.WriteString("[" + itemOf(e) + "]")
		case i > 0 && slices.Contains(stringMaps, fieldName(p, i-1)):
			b.WriteString("[" + *e.FieldName + "]")
		case i > 0:
			b.WriteString("." + *e.FieldName)
		default:
			b.WriteString(*e.FieldName)
		}
	}
	return b.String()
}

// itemOf names a list item: by the value of its key, of several keys as containerPort=80,protocol=TCP.
func itemOf(e fieldpath.PathElement) string {
	switch {
	case e.Key != nil:
		keys := make([]string, 0, len(*e.Key))
		for _, f := range *e.Key {
			text := scalarText(f.Value)
			if len(*e.Key) > 1 {
				text = f.Name + "=" + text
			}
			keys = append(keys, text)
		}
		return strings.Join(keys, ",")
	case e.Value != nil:
		return scalarText(*e.Value)
	case e.Index != nil:
		return fmt.Sprint(*e.Index)
	}
	return ""
}

func scalarText(v value.Value) string {
	if v.IsString() {
		return v.AsString()
	}
	return value.ToString(v)
}
