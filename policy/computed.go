package policy

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/expression"
)

// compiledExpression computes one setting, or one item of it.
type compiledExpression struct {
	path    *field.Path
	setting string
	// key of the item; "" for the whole setting.
	key     string
	program *expression.Program
}

// layerExpression is the name of the layers that expressions make: stronger than profiles and choices, weaker than what is enforced.
const layerExpression = "expression"

// compileExpressions reads expressions; their keys are paths as in unset.
func (p *compiledPolicy) compileExpressions(path *field.Path) {
	for _, name := range slices.Sorted(maps.Keys(p.spec.Expressions)) {
		at := path.Key(name)
		target, err := parseUnset(name)
		if err != nil {
			p.errs = append(p.errs, field.Invalid(at, name, err.Error()))
			continue
		}
		e := compiledExpression{path: at, setting: target.setting}
		if len(target.keys) > 0 {
			if e.key = target.keys[0]; len(target.keys) > 1 || definitions[target.setting].shape == plain || definitions[target.setting].shape == anonymous {
				p.errs = append(p.errs, field.Invalid(at, name, "must name a setting, or one item of a setting that has named items, like environment[COURSE]"))
				continue
			}
		}
		if e.program, err = expression.Compile(p.spec.Expressions[name], expression.Setting, resultOf(e.setting, e.key != "")); err != nil {
			p.errs = append(p.errs, field.Invalid(at, p.spec.Expressions[name], err.Error()))
			continue
		}
		p.expressions = append(p.expressions, e)
	}
}

// resultOf is the kind of value that a setting takes, or an item of it.
func resultOf(setting string, item bool) expression.Result {
	t := reflect.TypeFor[settings]().Field(settingFields[setting]).Type
	s := definitions[setting].shape
	if item {
		switch {
		case t == reflect.TypeFor[map[string]corev1.EnvVar]():
			return expression.TextOrMap
		case s == byName, s == byMountPath:
			return expression.Map
		case t.Kind() == reflect.Map:
			return resultOfType(t.Elem())
		}
		return expression.Anything
	}
	switch s {
	case byName, byMountPath:
		return expression.ListOrMap
	case anonymous: // what is enforced of these is known by its place
		return expression.List
	case plain, mapping:
	}
	return resultOfType(t)
}

func resultOfType(t reflect.Type) expression.Result {
	t = dereferenced(t)
	switch {
	case t == reflect.TypeFor[resource.Quantity]():
		return expression.Quantity
	case t.Kind() == reflect.String:
		return expression.Text
	case t.Kind() == reflect.Bool:
		return expression.Bool
	case t.Kind() == reflect.Int32, t.Kind() == reflect.Int64:
		return expression.Whole
	case t.Kind() == reflect.Slice:
		return expression.List
	}
	return expression.Map
}

// computing is what a plan knows beforehand of the settings that its policies compute.
type computing struct {
	expressions []owned
	// names are the settings that they are for, and layers those of the plan with nothing but these settings.
	names  []string
	layers []layer
	// strongest is the place in layers of the first that expressions give way to.
	strongest int
}

// owned is an expression with its policy.
type owned struct {
	*compiledExpression

	policy *PolicyRef
}

// computingOf gives nil where no policy computes anything. The cluster's expressions come last: they have the last word.
func computingOf(policies []*compiledPolicy, layers []layer) *computing {
	var c computing
	for _, cluster := range []bool{false, true} {
		for _, p := range policies {
			for i := range p.expressions {
				if p.cluster == cluster {
					c.expressions = append(c.expressions, owned{&p.expressions[i], &p.ref})
					c.names = append(c.names, p.expressions[i].setting)
				}
			}
		}
	}
	if len(c.expressions) == 0 {
		return nil
	}
	slices.Sort(c.names)
	c.names = slices.Compact(c.names)
	c.strongest = len(layers)
	for i := range layers {
		l := layers[i]
		l.block = l.block.only(c.names)
		if l.enforced() && c.strongest == len(layers) {
			c.strongest = i
		}
		c.layers = append(c.layers, l)
	}
	return &c
}

// gives says whether an expression is for a setting.
func (c *computing) gives(setting string) bool { return c != nil && slices.Contains(c.names, setting) }

func (l *layer) enforced() bool {
	return l.name == layerNamespaceEnforced || l.name == layerClusterEnforced
}

// only gives the part of a block that is about these settings.
func (b block) only(names []string) block {
	some := block{path: b.path, tree: tree{}}
	for name, v := range b.tree {
		if slices.Contains(names, name) {
			some.tree[name] = v
		}
	}
	for _, u := range b.unset {
		if slices.Contains(names, u.setting) {
			some.unset = append(some.unset, u)
		}
	}
	return some
}

// compute runs the expressions and merges their values into the settings, between the layers of which they are the strongest
// that isn't enforced. What an expression gives is never read as a template.
func (x *server) compute() []Denial {
	c := x.plan.computing
	if c == nil {
		return nil
	}
	values, denials := x.valuesOf(c)
	if len(denials) > 0 {
		return denials
	}
	layers := slices.Insert(slices.Clone(c.layers), c.strongest, values...)
	p := &plan{}
	merged := p.merge(layers)
	if len(p.errs) > 0 {
		return blamedExpressions(p.errs, values, layers)
	}
	computed, errs := decodeSettings(merged, nil)
	errs = append(errs, checkComplete(merged)...)
	if len(errs) == 0 {
		var ts templates
		ts, errs = compileTemplates(computed, merged, nil)
		errs = append(errs, checkSettings(computed, nil)...)
		x.templates = x.templates.replaced(ts, c.names)
	}
	for _, e := range errs {
		setting := settingAt(e.Field)
		d := denyf(ExpressionFailed, nil, setting, "gave what %s can't be: %s", shortened(e.Field), shortened(e.ErrorBody()))
		if l := blamed(values, setting); l != nil {
			d.Policy, d.Field = l.policy, l.block.path.String()
		}
		denials = append(denials, d)
	}
	if len(denials) > 0 {
		return denials
	}
	x.take(computed, c.names)
	x.computed = assertionOf(values, layerExpression, merged)
	x.computedLayers = values
	x.ownLabelKeys = slices.Concat(x.computed["commonLabels"].keys, x.computed["extraLabels"].keys)
	x.ownAnnotationKeys = x.computed["extraAnnotations"].keys
	return nil
}

// take puts computed settings in the place of the plan's.
func (x *server) take(computed *settings, names []string) {
	own := *x.s
	into, from := reflect.ValueOf(&own).Elem(), reflect.ValueOf(computed).Elem()
	for _, name := range names {
		at := settingFields[name]
		into.Field(at).Set(from.Field(at))
	}
	x.s = &own
}

// blamed is the last expression for a setting; nil where none gave it.
func blamed(values []layer, setting string) *layer {
	for i := range slices.Backward(values) {
		if _, gives := values[i].block.tree[setting]; gives {
			return &values[i]
		}
	}
	return nil
}

// blamedExpressions turns errors of merging into those of the expressions whose values couldn't be merged: without them, the
// same layers had been merged before.
func blamedExpressions(denials []Denial, values, layers []layer) []Denial {
	for i, d := range denials {
		for j := range layers {
			l := &layers[j]
			below, found := strings.CutPrefix(d.Field, l.block.path.String()+".")
			if !found || l.policy == nil || d.Policy == nil || *l.policy != *d.Policy {
				continue
			}
			e := blamed(values, settingAt(below))
			if e == nil {
				continue
			}
			message := shortened(d.Message)
			if e.block.path != l.block.path {
				message = "can't be merged with " + d.Policy.String() + ", " + shortened(d.Field) + ": " + message
			}
			denials[i] = denyf(ExpressionFailed, e.policy, e.block.path.String(), "%s", message)
			break
		}
	}
	return denials
}

// settingAt is the setting that a path into settings begins with.
func settingAt(path string) string {
	if end := strings.IndexAny(path, ".["); end >= 0 {
		return path[:end]
	}
	return path
}

// maxQuoted bounds what a message repeats of an expression's value, in bytes: it may be whatever a user wrote.
const maxQuoted = 400

func shortened(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}

// valuesOf gives one layer for each expression that says something.
func (x *server) valuesOf(c *computing) ([]layer, []Denial) {
	var values []layer
	var denials []Denial
	run := x.evaluation()
	for _, e := range c.expressions {
		value, err := e.program.Value(&run.variables, nil, &run.budget)
		if err != nil {
			denials = append(denials, denyf(ExpressionFailed, e.policy, e.path.String(), "%v", err))
			continue
		}
		if value == nil {
			continue
		}
		t := tree{e.setting: e.settable(value)}
		if wrong := e.misfits(t); len(wrong) > 0 {
			denials = append(denials, wrong...)
			continue
		}
		values = append(values, layer{name: layerExpression, policy: e.policy, block: block{tree: t, path: e.path}})
	}
	return values, denials
}

// settable gives a value as a settings block has it, in which nothing is a template.
func (e *owned) settable(value any) any {
	if definitions[e.setting].expand != nil || e.setting == "defaultUrl" || e.setting == "notebookDir" {
		value = unexpanded(value)
	}
	if e.key != "" {
		return tree{e.key: value}
	}
	if keyed, isMap := value.(tree); isMap {
		return literallyNamed(keyed, definitions[e.setting].shape)
	}
	return value
}

// misfits are the reasons why a setting can't have the value that was computed for it.
func (e *owned) misfits(t tree) []Denial {
	if _, isMap := t[e.setting].(tree); isMap && definitions[e.setting].shape == anonymous {
		return []Denial{denyf(ExpressionFailed, e.policy, e.path.String(), "must give a list, and gave a map")}
	}
	var denials []Denial
	_, errs := decodeSettings(t, nil)
	for _, wrong := range errs {
		d := denyf(ExpressionFailed, e.policy, e.path.String(), "gave what %s can't be: %s", shortened(wrong.Field), shortened(wrong.ErrorBody()))
		d.always = wrong.Type == field.ErrorTypeTypeInvalid || strings.HasPrefix(wrong.Detail, "unknown field")
		denials = append(denials, d)
	}
	return denials
}

// unexpanded doubles the braces of text, so that it stays as it is when templates are expanded.
func unexpanded(value any) any {
	switch v := value.(type) {
	case string:
		return doubledBraces(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = unexpanded(v[i])
		}
		return out
	case tree:
		out := make(tree, len(v))
		for key, item := range v {
			out[key] = unexpanded(item)
		}
		return out
	}
	return value
}

// literallyNamed gives items that are called by their keys names that stay as they are, since those keys are read as templates.
func literallyNamed(keyed tree, s shape) tree {
	if s != byName && s != byMountPath {
		return keyed
	}
	out := maps.Clone(keyed)
	for key, v := range keyed {
		if item, isItem := v.(tree); isItem && isTemplate(key) {
			out[key] = named(item, doubledBraces(key))
		}
	}
	return out
}

// replaced gives the templates with others for some settings.
func (ts templates) replaced(others templates, names []string) templates {
	out := templates{byText: maps.Clone(ts.byText), in: slices.Clone(others.in)}
	maps.Copy(out.byText, others.byText)
	for _, at := range ts.in {
		if !slices.ContainsFunc(names, func(name string) bool { return settingFields[name] == at }) {
			out.in = append(out.in, at)
		}
	}
	slices.Sort(out.in)
	return out
}

// evaluation is what the expressions of one request share.
type evaluation struct {
	variables expression.Variables
	budget    expression.Budget
}

func newEvaluation(in *Input, groups []string) *evaluation {
	id := &in.Identity
	return &evaluation{variables: expression.Variables{
		User: id.User, UserSlug: SafeSlug(id.User), UserID: id.UserID, UserAnnotations: id.UserAnnotations, Server: id.Server, Hub: id.Hub, Groups: groups,
		Namespace: in.Namespace.Name, NamespaceLabels: in.Namespace.Labels,
	}}
}

// evaluation gives the request's, with what the user chose.
func (x *server) evaluation() *evaluation {
	if x.run == nil {
		x.run = newEvaluation(x.in, x.groups)
	}
	if v := &x.run.variables; x.sel.profile != nil && v.Profile == "" {
		v.Profile, v.Options = x.sel.profile.spec.Slug, maps.Collect(x.sel.chosen())
	}
	return x.run
}
