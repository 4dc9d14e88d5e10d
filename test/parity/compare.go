package parity

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	sigsjson "sigs.k8s.io/json"
)

// DiffPods says in which fields two pods differ, as JSON; one line each, with path, the wanted value and ours.
// Both are read as an API server reads them, and Normalisations are applied to both. An error means that one of
// them is no pod at all, and names it.
func DiffPods(want, got []byte) ([]string, error) {
	return diff[corev1.Pod](want, got, normalisePod)
}

// DiffClaims is DiffPods for claims. A claim that isn't there is empty or "null".
func DiffClaims(want, got []byte) ([]string, error) {
	switch {
	case isNull(want) && isNull(got):
		return nil, nil
	case isNull(want):
		return []string{"want no claim, got " + string(got)}, nil
	case isNull(got):
		return []string{"want the claim " + string(want) + ", got none"}, nil
	}
	return diff[corev1.PersistentVolumeClaim](want, got, normaliseClaim)
}

func isNull(object []byte) bool { return len(object) == 0 || string(object) == "null" }

func diff[T any](want, got []byte, normalise func(*T)) ([]string, error) {
	wanted, err := read[T](want)
	if err != nil {
		return nil, fmt.Errorf("read KubeSpawner's object: %w", err)
	}
	ours, err := read[T](got)
	if err != nil {
		return nil, fmt.Errorf("read our object: %w", err)
	}
	normalise(wanted)
	normalise(ours)
	var found differences
	cmp.Equal(wanted, ours, append(equalities(), cmp.Reporter(&found))...)
	return found.lines, nil
}

// read decodes as the API server does: a field that Kubernetes doesn't know is dropped.
func read[T any](object []byte) (*T, error) {
	into, _, err := readStrict[T](object)
	return into, err
}

// readStrict also says which fields were dropped.
func readStrict[T any](object []byte) (into *T, dropped []error, err error) {
	into = new(T)
	dropped, err = sigsjson.UnmarshalStrict(object, into)
	return into, dropped, err
}

// equalities are what counts as equal beside what is the same.
func equalities() []cmp.Option {
	return []cmp.Option{
		cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b resource.Quantity) bool { return a.Cmp(b) == 0 }),
	}
}

// differences collects what cmp reports.
type differences struct {
	path  cmp.Path
	lines []string
}

// PushStep is called for each step into the objects.
func (d *differences) PushStep(step cmp.PathStep) { d.path = append(d.path, step) }

// PopStep is called for each step back.
func (d *differences) PopStep() { d.path = d.path[:len(d.path)-1] }

// Report is called for each leaf.
func (d *differences) Report(result cmp.Result) {
	if result.Equal() {
		return
	}
	want, got := d.path.Last().Values()
	d.lines = append(d.lines, fmt.Sprintf("%s: want %s, got %s", jsonPath(d.path), shown(want), shown(got)))
}

// shown is a value as JSON; one that isn't there is "nothing".
func shown(v reflect.Value) string {
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "nothing"
	}
	// The methods of a quantity are the pointer's.
	at := reflect.New(v.Type())
	at.Elem().Set(v)
	text, err := json.Marshal(at.Interface())
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// jsonPath writes a path with the names that the fields have in JSON; of list items that have a name it says that.
func jsonPath(path cmp.Path) string {
	var b strings.Builder
	for i, step := range path {
		switch step := step.(type) {
		case cmp.StructField:
			field, _ := path[i-1].Type().FieldByName(step.Name())
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
				b.WriteString("." + name)
			}
		case cmp.MapIndex:
			fmt.Fprintf(&b, "[%v]", step.Key())
		case cmp.SliceIndex:
			b.WriteString("[" + itemName(step) + "]")
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

func itemName(step cmp.SliceIndex) string {
	want, got := step.Values()
	for _, v := range []reflect.Value{want, got} {
		if v.IsValid() && v.Kind() == reflect.Struct {
			if name := v.FieldByName("Name"); name.IsValid() && name.Kind() == reflect.String && name.Len() > 0 {
				return name.String()
			}
		}
	}
	if key := step.Key(); key >= 0 {
		return strconv.Itoa(key)
	}
	in, out := step.SplitKeys()
	return strconv.Itoa(max(in, out))
}
