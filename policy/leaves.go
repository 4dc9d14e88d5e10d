package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Leaf is one value of a pod or claim that is written and has nothing below it.
type Leaf struct {
	// Path has items of a list by their merge key: spec.containers[notebook].env[COURSE].value.
	Path string
	// Value as JSON has it, without the quotes of text.
	Value string
	// Private: the value may be a secret, and isn't to be shown.
	Private bool

	segments []string
}

// PodLeaves are the leaves of what a pod's author writes: name, namespace, labels, annotations and spec, in the order of the fields.
func PodLeaves(pod *corev1.Pod) []Leaf {
	var w leafWalk
	w.walkMetadata(nil, pod.Name, pod.Namespace, pod.Labels, pod.Annotations)
	w.walk([]string{"spec"}, reflect.ValueOf(pod.Spec))
	return w.leaves
}

// ClaimLeaves does the same for a claim, whose path is put before the others: claim.spec.storageClassName.
func ClaimLeaves(path string, claim *corev1.PersistentVolumeClaim) []Leaf {
	if claim == nil {
		return nil
	}
	var w leafWalk
	w.walkMetadata(segmentsOf(path), claim.Name, claim.Namespace, claim.Labels, claim.Annotations)
	w.walk(append(segmentsOf(path), "spec"), reflect.ValueOf(claim.Spec))
	return w.leaves
}

// LeavesBelow are those at a path, or below it.
func LeavesBelow(leaves []Leaf, path string) []Leaf {
	var below []Leaf
	for i := range leaves {
		if IsBelow(leaves[i].Path, path) {
			below = append(below, leaves[i])
		}
	}
	return below
}

type leafWalk struct{ leaves []Leaf }

func (w *leafWalk) walkMetadata(at []string, name, namespace string, labels, annotations map[string]string) {
	for _, f := range []struct {
		name  string
		value any
	}{{"name", name}, {"namespace", namespace}, {"labels", labels}, {"annotations", annotations}} {
		w.walk(append(slices.Clone(at), "metadata", f.name), reflect.ValueOf(f.value))
	}
}

// walk notes what is written below a place; what is absent isn't there.
func (w *leafWalk) walk(at []string, v reflect.Value) {
	if isAbsent(v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		w.inside(at, v.Elem(), nil)
	case reflect.Struct:
		w.inside(at, v, nil)
	case reflect.Map:
		for _, key := range sortedKeys(v) {
			w.inside(append(slices.Clone(at), "["+key.String()+"]"), v.MapIndex(key), nil)
		}
	case reflect.Slice:
		w.items(at, v)
	default:
		w.add(at, v)
	}
}

// items of a list of things; any other list is one leaf.
func (w *leafWalk) items(at []string, v reflect.Value) {
	if kind := v.Type().Elem().Kind(); kind != reflect.Struct {
		w.add(at, v)
		return
	}
	id := identityOf(v.Type().Elem())
	for i := range v.Len() {
		key := strconv.Itoa(i)
		if id != nil {
			key = id(v.Index(i))
		}
		w.inside(append(slices.Clone(at), "["+key+"]"), v.Index(i), &key)
	}
}

// inside notes what a value holds that is written even where that is nothing: emptyDir: {} is a leaf. A field that says no more than
// the item's key is left out.
func (w *leafWalk) inside(at []string, v reflect.Value, key *string) {
	if v.Kind() != reflect.Struct || isScalarStruct(v.Type()) {
		w.add(at, v)
		return
	}
	before := len(w.leaves)
	w.fields(at, v, key)
	if len(w.leaves) == before {
		w.leaves = append(w.leaves, leafAt(at, "{}"))
	}
}

func (w *leafWalk) fields(at []string, v reflect.Value, key *string) {
	for i, name := range structFields(v.Type()) {
		switch f := v.Field(i); {
		case name == "":
			w.fields(at, f, nil)
		case key != nil && f.Kind() == reflect.String && f.String() == *key && slices.Contains(keyFields, name):
		default:
			w.walk(append(slices.Clone(at), name), f)
		}
	}
}

// keyFields are the fields that identify an item of a list.
var keyFields = []string{"name", "mountPath", "devicePath", "ip"}

func isScalarStruct(t reflect.Type) bool {
	return t == quantityType || t == reflect.TypeFor[intstr.IntOrString]()
}

func (w *leafWalk) add(at []string, v reflect.Value) {
	w.leaves = append(w.leaves, leafAt(at, textOf(v.Interface())))
}

func leafAt(at []string, value string) Leaf {
	return Leaf{Path: joined(at), Value: value, Private: isPrivate(at), segments: at}
}

func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case resource.Quantity:
		return v.String()
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return strings.Trim(string(text), `"`)
}

// privateParts are the fields, and settings, that people put secrets into.
var privateParts = []string{
	"env", "environment", "args", "cmd", "command", "lifecycle", "lifecycleHooks", "httpHeaders", "volumeAttributes",
}

func isPrivate(segments []string) bool {
	return slices.ContainsFunc(segments, func(s string) bool { return slices.Contains(privateParts, s) })
}

// joined writes segments as a path: a key stands in brackets already.
func joined(segments []string) string {
	var b strings.Builder
	for i, s := range segments {
		if i > 0 && !strings.HasPrefix(s, "[") {
			b.WriteByte('.')
		}
		b.WriteString(s)
	}
	return b.String()
}

// segmentsOf reads a path into its fields and [keys]. A key may hold dots, and no bracket.
func segmentsOf(path string) []string {
	var segments []string
	for path != "" {
		end := strings.IndexAny(path[1:], ".[") + 1
		if path[0] == '[' {
			end = strings.IndexByte(path, ']') + 1
		}
		if end == 0 {
			end = len(path)
		}
		segments = append(segments, path[:end])
		path = strings.TrimPrefix(path[end:], ".")
	}
	return segments
}
