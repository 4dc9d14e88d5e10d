package policy

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// templates are the parsed templates of a plan, by their text, and the settings that have any.
type templates struct {
	byText map[string]*template
	// in are the fields of settings that hold a template.
	in []int
}

// nameTemplates are the settings that name things; they are expanded first, one after the other.
var nameTemplates = []string{
	"podNameTemplate", "pvcNameTemplate", "secretNameTemplate", "dnsNameTemplate", "podConnectIp", "namespace", "userNamespaceTemplate",
}

// compileTemplates parses every template of a block; t is the same settings as JSON, whose paths the errors name.
func compileTemplates(s *settings, t tree, path *field.Path) (templates, field.ErrorList) {
	ts := templates{byText: map[string]*template{}}
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(t)) {
		known := definitions[name].expand
		if known == nil {
			continue
		}
		errs = append(errs, ts.parse(t[name], known, childOrKey(path, name))...)
		errs = append(errs, ts.parseNames(t[name], definitions[name].shape, known, childOrKey(path, name))...)
		field := settingFields[name]
		if !slices.Contains(nameTemplates, name) && hasTemplate(reflect.ValueOf(s).Elem().Field(field)) {
			ts.in = append(ts.in, field)
		}
	}
	return ts, errs
}

// name says whether any template names a placeholder.
func (ts *templates) name(placeholder string) bool {
	for _, t := range ts.byText {
		if slices.ContainsFunc(t.parts, func(p part) bool { return p.placeholder == placeholder }) {
			return true
		}
	}
	return false
}

func (ts *templates) parse(value any, known []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch v := value.(type) {
	case string:
		if !isTemplate(v) {
			return nil
		}
		t, err := parseTemplate(v, known)
		if err != nil {
			return field.ErrorList{field.Invalid(path, v, err.Error())}
		}
		ts.byText[v] = t
	case []any:
		for i, item := range v {
			errs = append(errs, ts.parse(item, known, path.Index(i))...)
		}
	case tree:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			errs = append(errs, ts.parse(v[key], known, childOrKey(path, key))...)
		}
	}
	return errs
}

// parseNames parses the keys that items without a name are called by.
func (ts *templates) parseNames(value any, s shape, known []string, path *field.Path) field.ErrorList {
	keyed, isMap := value.(tree)
	if !isMap || s != byName && s != byMountPath {
		return nil
	}
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(keyed)) {
		item, _ := keyed[key].(tree)
		if _, has := item["name"]; !has {
			errs = append(errs, ts.parse(key, known, path.Key(key))...)
		}
	}
	return errs
}

// server is one server in the making: the names and values that templates are expanded with.
type server struct {
	in       *Input
	policies []*compiledPolicy
	sel      selection
	plan     *plan
	s        *settings
	hubNS    string
	names    Names
	// ownClaim is the claim's name by the template, which names.Claim is unless another was chosen.
	ownClaim string
	// moreClaims are those of the setting claims, in the order of its keys.
	moreClaims []namedClaim
	// templates are the plan's, or with those of computed settings.
	templates templates
	// groups the user is in.
	groups []string
	// run is what expressions share; nil before the first.
	run *evaluation
	// computed are the settings that expressions gave, and computedLayers whose they are.
	computed       assertion
	computedLayers []layer
	// ownKeys are labels and annotations that expressions and mutations set, beside those of the plan.
	ownLabelKeys, ownAnnotationKeys []string
	// trace is nil unless Input.Provenance asks for it.
	trace *fieldTrace
}

// value gives what a placeholder stands for.
func (x *server) value(name string) (string, error) {
	id := &x.in.Identity
	switch name {
	case "userid":
		if id.UserID == nil {
			return "", fmt.Errorf("{userid} isn't known: the hub gave no annotation %s", AnnotationUserID)
		}
		return strconv.FormatInt(*id.UserID, 10), nil
	case "unescaped_username":
		return id.User, nil
	case "unescaped_servername":
		return id.Server, nil
	case "namespace":
		return x.in.Namespace.Name, nil
	case "name", "pod_name":
		return x.names.Pod, nil
	case "pvc_name":
		return x.names.Claim, nil
	case "hubnamespace":
		return x.hubNamespace()
	}
	return x.slug(name, x.s.SlugScheme != nil && *x.s.SlugScheme == "escape")
}

func (x *server) slug(name string, escape bool) (string, error) {
	id := &x.in.Identity
	switch name {
	case "username", "servername", "user_server":
		if escape {
			return x.escaped(name), nil
		}
		return x.slug("safe_"+name, false)
	case "safe_username":
		return SafeSlug(id.User), nil
	case "safe_servername":
		if id.Server == "" {
			return "", nil
		}
		return SafeSlug(id.Server), nil
	case "safe_user_server":
		return SafeUserServer(id.User, id.Server), nil
	case "escaped_username":
		return x.escaped("username"), nil
	case "escaped_servername":
		return x.escaped("servername"), nil
	case "escaped_user_server":
		// Always joined, also for the default server: upstream relies on the dashes being stripped.
		return EscapeSlug(id.User) + componentJoin + EscapeSlug(id.Server), nil
	}
	return "", fmt.Errorf("unknown placeholder {%s}", name)
}

func (x *server) escaped(name string) string {
	id := &x.in.Identity
	switch {
	case name == "servername":
		return EscapeSlug(id.Server)
	case name == "user_server" && id.Server != "":
		return EscapeSlug(id.User) + componentJoin + EscapeSlug(id.Server)
	}
	return EscapeSlug(id.User)
}

// hubNamespace is the hub's namespace; "default" reads "user", as upstream.
func (x *server) hubNamespace() (string, error) {
	switch x.hubNS {
	case "":
		return "", errors.New("{hubnamespace} isn't known: the caller is no service account")
	case "default":
		return "user", nil
	}
	return x.hubNS, nil
}

// expandText fills in one template setting; text without braces is itself.
func (x *server) expandText(text string) (string, error) {
	if !isTemplate(text) {
		return text, nil
	}
	t, ok := x.templates.byText[text]
	if !ok {
		return "", fmt.Errorf("template %q was not compiled", text)
	}
	return t.expand(x.value)
}

// expandAll gives settings of which every template is expanded. What holds no template is shared with the plan and
// must not be changed in place.
func (x *server) expandAll() []Denial {
	own := *x.s
	v := reflect.ValueOf(&own).Elem()
	var denials []Denial
	for _, at := range x.templates.in {
		e := expander{server: x}
		v.Field(at).Set(e.expanded(v.Field(at)))
		if e.err != nil {
			denials = append(denials, denyf(TemplateInvalid, nil, v.Type().Field(at).Tag.Get("json"), "%v", e.err))
			continue
		}
		if id := repeated(v.Field(at).Interface()); id != "" {
			denials = append(denials, denyf(TemplateInvalid, nil, v.Type().Field(at).Tag.Get("json"),
				"gives %q twice once its templates are filled in: of the policies' two items there, give one another name or place", id))
		}
	}
	x.s = &own
	return denials
}

// repeated is the identity that two items of an expanded setting have; "" where there is none. Layers are merged before names are
// expanded, so a weaker layer's item could otherwise stand in the place of an enforced one.
func repeated(setting any) string {
	switch items := setting.(type) {
	case []corev1.Volume:
		return firstRepeated(items, volumeName)
	case []corev1.VolumeMount:
		return firstRepeated(items, mountPath)
	case []corev1.Container:
		return firstRepeated(items, func(c *corev1.Container) string { return c.Name })
	}
	return ""
}

func firstRepeated[V any](items []V, id func(*V) string) string {
	seen := make(map[string]bool, len(items))
	for i := range items {
		name := id(&items[i])
		if name != "" && seen[name] {
			return name
		}
		seen[name] = true
	}
	return ""
}

// expander copies a value and expands the strings in it. Keys of maps are kept, as upstream.
type expander struct {
	server *server
	err    error
}

func (e *expander) expanded(v reflect.Value) reflect.Value {
	if !hasTemplate(v) {
		return v
	}
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		text, err := e.server.expandText(v.String())
		if err != nil && e.err == nil {
			e.err = err
		}
		out.SetString(text)
	case reflect.Pointer:
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(e.expanded(v.Elem()))
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(e.expanded(v.Index(i)))
		}
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), e.expandedItem(it.Key(), it.Value()))
		}
	case reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			if f := out.Field(i); f.CanSet() && hasTemplate(v.Field(i)) {
				f.Set(e.expanded(v.Field(i)))
			}
		}
	default:
		out.Set(v)
	}
	return out
}

// expandedItem keeps the name of a variable that is called after its key.
func (e *expander) expandedItem(key, item reflect.Value) reflect.Value {
	v, ok := reflect.TypeAssert[corev1.EnvVar](item)
	if !ok || v.Name != key.String() {
		return e.expanded(item)
	}
	v.Name = ""
	out := reflect.New(item.Type()).Elem()
	out.Set(e.expanded(reflect.ValueOf(v)))
	out.FieldByName("Name").SetString(key.String())
	return out
}

var quantityType = reflect.TypeFor[resource.Quantity]()

// hasTemplate says whether any string below v has braces.
func hasTemplate(v reflect.Value) bool {
	if v.Type() == quantityType {
		return false
	}
	switch v.Kind() {
	case reflect.String:
		return isTemplate(v.String())
	case reflect.Pointer:
		return !v.IsNil() && hasTemplate(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if hasTemplate(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if hasTemplate(it.Value()) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() { //nolint:modernize // Fields describes each field anew, and this is done for every pod
			if hasTemplate(v.Field(i)) {
				return true
			}
		}
	default:
	}
	return false
}
