package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// comparison holds two pods against each other: what the first says must be in the second, by path and list key.
// It works on the typed pods, so two ways to write one thing are the same.
type comparison struct {
	// changed are the paths at which the second lacks what the first says, or says otherwise.
	changed []string
	// added is what the second says and the first doesn't, but for what the API server itself fills in.
	added []addition
	// asserted: the first is what enforced settings would make of the second. A priority class is then no default of the
	// cluster's, but one that policy says must be absent.
	asserted bool
	// exact: both are of one pod at two times, and what the API server fills in is there already, or in neither.
	exact bool
	// refilled: what the API server fills in is in the second and not in the first, whatever else is exact, but for the paths that
	// the caller has sent.
	refilled bool
	sent     []string
}

// addition is one thing that wasn't in the fitted pod.
type addition struct {
	path string
	// name of a container, volume, variable, label or annotation; for a mount its volume's; "" for anything else.
	name string
}

// comparePods compares metadata, as far as policy decides on it, and spec. want and have may be shared with others and
// aren't changed.
func comparePods(want, have *corev1.Pod) *comparison {
	return (&comparison{}).pods(want, have)
}

func (c *comparison) pods(want, have *corev1.Pod) *comparison {
	c.compareMap(place{path: "metadata.labels"}, reflect.ValueOf(want.Labels), reflect.ValueOf(have.Labels))
	c.compareMap(place{path: "metadata.annotations", pattern: "annotations"}, reflect.ValueOf(want.Annotations), reflect.ValueOf(have.Annotations))
	c.compare(place{path: "spec", pattern: "spec", spec: &have.Spec}, reflect.ValueOf(&want.Spec).Elem(), reflect.ValueOf(&have.Spec).Elem())
	return c
}

// place is where the comparison stands.
type place struct {
	path string
	// pattern is the path without list keys, where C stands for a container of any list and V for a volume: the table of
	// what the API server fills in is keyed by it.
	pattern string
	// name is that of the list item or map key which stands here; "" anywhere else.
	name string
	// alone: nothing of the list or map that this stands in was wanted.
	alone bool
	spec  *corev1.PodSpec
}

func (p place) field(name string) place {
	return place{path: p.path + "." + name, pattern: p.pattern + "." + name, spec: p.spec}
}

func (p place) item(key, name string) place {
	pattern := p.pattern
	switch pattern {
	case "spec.containers", "spec.initContainers", "spec.ephemeralContainers":
		pattern = "C"
	case "spec.volumes":
		pattern = "V"
	}
	return place{path: p.path + "[" + key + "]", pattern: pattern, name: name, spec: p.spec}
}

// ifAlone notes whether the wanted list or map is empty.
func (p place) ifAlone(want reflect.Value) place {
	p.alone = want.Len() == 0
	return p
}

// compare: what want doesn't say (its zero value) may be added; what it says must stand there.
func (c *comparison) compare(at place, want, have reflect.Value) {
	switch {
	case isAbsent(have):
		if !isAbsent(want) {
			c.changed = append(c.changed, at.path)
		}
		return
	case isAbsent(want) && !holds(want) && at.pattern != variableValue:
		c.add(at, have)
		return
	}
	switch want.Kind() {
	case reflect.Pointer:
		// What is pointed to is written, also where it is false or 0: true is no addition to it.
		c.compareValue(at, want.Elem(), have.Elem())
	case reflect.Struct:
		c.compareStruct(at, want, have)
	case reflect.Map:
		c.compareMap(at, want, have)
	case reflect.Slice:
		c.compareSlice(at, want, have)
	default:
		if !want.Equal(have) && (c.exact || !replacedInTree(at, have)) {
			c.changed = append(c.changed, at.path)
		}
	}
}

// variableValue is where the value of a variable stands: policy gives a variable without one its empty value.
const variableValue = "C.env.value"

// holds: what is looked into even where nothing is wanted, to tell which of it is an addition.
func holds(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice:
		return v.Type() != quantityType
	default:
		return false
	}
}

// isAbsent: a value that isn't written. A pointer to nothing (emptyDir: {}, privileged: false) is written.
func isAbsent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

func (c *comparison) compareStruct(at place, want, have reflect.Value) {
	if w, ok := reflect.TypeAssert[resource.Quantity](want); ok {
		if h, ok := reflect.TypeAssert[resource.Quantity](have); !ok || w.Cmp(h) != 0 {
			c.changed = append(c.changed, at.path)
		}
		return
	}
	for i, f := range structFields(want.Type()) {
		place := at
		if f != "" {
			place = at.field(f)
		}
		c.compare(place, want.Field(i), have.Field(i))
	}
}

func (c *comparison) compareMap(at place, want, have reflect.Value) {
	for _, key := range sortedKeys(want) {
		item := at.item(key.String(), key.String())
		if h := have.MapIndex(key); h.IsValid() {
			// A key with an empty value is written all the same.
			if w := want.MapIndex(key); !isAbsent(w) || !isAbsent(h) {
				c.compareValue(item, w, h)
			}
			continue
		}
		c.changed = append(c.changed, item.path)
	}
	for _, key := range sortedKeys(have) {
		if !want.MapIndex(key).IsValid() {
			c.add(at.item(key.String(), key.String()).ifAlone(want), have.MapIndex(key))
		}
	}
}

// compareValue compares what stands on both sides.
func (c *comparison) compareValue(at place, want, have reflect.Value) {
	if want.Kind() == reflect.Struct {
		c.compareStruct(at, want, have)
		return
	}
	if !want.Equal(have) {
		c.changed = append(c.changed, at.path)
	}
}

func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// compareSlice: items with an identity are found by it, wherever they stand; their order among each other must be kept,
// since init containers run and variables expand in order. One that was doubled counts as changed: the later could win.
func (c *comparison) compareSlice(at place, want, have reflect.Value) {
	id := identityOf(want.Type().Elem())
	switch {
	case id == nil && isSet(at.pattern):
		c.compareSet(at, want, have)
		return
	case id == nil && want.Len() == 0:
		c.add(at, have)
		return
	case id == nil:
		c.compareInOrder(at, want, have)
		return
	}
	found := make([]bool, have.Len())
	next := 0
	for i := range want.Len() {
		w := want.Index(i)
		key := id(w)
		item := at.item(key, nameOf(w, key))
		same := func(v reflect.Value) bool { return id(v) == key }
		j := indexFrom(have, next, same)
		if j < 0 || indexFrom(have, j+1, same) >= 0 && indexFrom(want, i+1, same) < 0 { // a hub's own pod may have two
			c.changed = append(c.changed, item.path)
			continue
		}
		found[j], next = true, j+1
		c.compare(item, w, have.Index(j))
	}
	for j := range have.Len() {
		if h := have.Index(j); !found[j] {
			c.add(at.item(id(h), nameOf(h, id(h))).ifAlone(want), h)
		}
	}
}

func indexFrom(list reflect.Value, from int, is func(reflect.Value) bool) int {
	for j := from; j < list.Len(); j++ {
		if is(list.Index(j)) {
			return j
		}
	}
	return -1
}

// compareSet: each wanted item must be there, in any place.
func (c *comparison) compareSet(at place, want, have reflect.Value) {
	found := make([]bool, have.Len())
	for i := range want.Len() {
		w := want.Index(i).Interface()
		j := indexFrom(have, 0, func(h reflect.Value) bool { return reflect.DeepEqual(h.Interface(), w) })
		if j < 0 {
			c.changed = append(c.changed, at.item(strconv.Itoa(i), "").path)
			continue
		}
		found[j] = true
	}
	for j := range have.Len() {
		if !found[j] {
			c.add(at.item(strconv.Itoa(j), ""), have.Index(j))
		}
	}
}

// compareInOrder: a list without identities is taken as a whole.
func (c *comparison) compareInOrder(at place, want, have reflect.Value) {
	if want.Len() != have.Len() {
		c.changed = append(c.changed, at.path)
		return
	}
	for i := range want.Len() {
		c.compareItem(at.item(strconv.Itoa(i), ""), want.Index(i), have.Index(i))
	}
}

// compareItem is compare for an item of a list, where an empty one is an item too.
func (c *comparison) compareItem(at place, want, have reflect.Value) {
	if want.Kind() != reflect.Struct {
		c.compareValue(at, want, have)
		return
	}
	c.compareStruct(at, want, have)
}

func (c *comparison) add(at place, have reflect.Value) {
	exact := c.exact && !c.refilled
	if exact || c.asserted && at.pattern == "spec.priorityClassName" || !filledInTree(at, have) || c.isSent(at) {
		c.added = append(c.added, addition{path: at.path, name: at.name})
	}
}

// sets are lists of which more may stand beside what is wanted. Terms of a required node affinity are none: they are
// alternatives, and one more would open what the others close.
var sets = []string{
	"spec.tolerations",
	"spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
	"spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution",
	"spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution",
	"spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
	"spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
}

func isSet(pattern string) bool { return slices.Contains(sets, pattern) }

// identityOf gives the function that identifies the items of a list; nil where they have no identity.
func identityOf(item reflect.Type) func(reflect.Value) string {
	field := ""
	switch item {
	case reflect.TypeFor[corev1.VolumeMount]():
		field = "MountPath"
	case reflect.TypeFor[corev1.VolumeDevice]():
		field = "DevicePath"
	case reflect.TypeFor[corev1.TopologySpreadConstraint]():
		return func(v reflect.Value) string {
			return v.FieldByName("TopologyKey").String() + "," + v.FieldByName("WhenUnsatisfiable").String()
		}
	case reflect.TypeFor[corev1.ContainerPort]():
		return portID
	case reflect.TypeFor[corev1.HostAlias]():
		field = "IP"
	case reflect.TypeFor[corev1.Container](), reflect.TypeFor[corev1.EphemeralContainer](), reflect.TypeFor[corev1.EnvVar](),
		reflect.TypeFor[corev1.Volume](), reflect.TypeFor[corev1.LocalObjectReference](), reflect.TypeFor[corev1.ResourceClaim](),
		reflect.TypeFor[corev1.PodResourceClaim](), reflect.TypeFor[corev1.PodSchedulingGate]():
		field = "Name"
	default:
		return nil
	}
	return func(v reflect.Value) string { return v.FieldByName(field).String() }
}

// portID: a port without a name is known by its number.
func portID(v reflect.Value) string {
	p, _ := reflect.TypeAssert[corev1.ContainerPort](v)
	if p.Name != "" {
		return p.Name
	}
	protocol := p.Protocol
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	return fmt.Sprintf("%d/%s", p.ContainerPort, protocol)
}

// nameOf is the name by which a policy lists an addition.
func nameOf(item reflect.Value, key string) string {
	if m, ok := reflect.TypeAssert[corev1.VolumeMount](item); ok {
		return m.Name
	}
	return key
}

// fieldNames keeps what structFields found, by type.
var fieldNames sync.Map

// structFields are the JSON names of a type's fields by index; "" for what is embedded.
func structFields(t reflect.Type) []string {
	if cached, ok := fieldNames.Load(t); ok {
		names, _ := cached.([]string)
		return names
	}
	names := make([]string, t.NumField())
	for i := range names {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names[i] = name
	}
	fieldNames.Store(t, names)
	return names
}
