package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// layer is one source of settings.
type layer struct {
	name   string
	policy *PolicyRef
	block  block
}

// The names of the layers, weakest first.
const (
	layerBuiltIn           = "built-in defaults"
	layerClusterDefaults   = "cluster defaults"
	layerNamespaceDefaults = "namespace defaults"
	layerProfile           = "profile"
	layerChoice            = "choice"
	layerNamespaceEnforced = "namespace enforced"
	layerClusterEnforced   = "cluster enforced"
)

// plan is all that can be computed before a pod arrives: the layers of one set of policies and one selection, merged,
// typed and with their templates parsed.
type plan struct {
	settings  *settings
	templates templates
	// asserted are the enforced settings, of the namespace and then of the cluster.
	asserted [2]assertion
	// errs are what is wrong with the merged whole; the pods are denied.
	errs    []Denial
	mode    v1alpha1.SkeletonMode
	applied Applied
	// filling are the settings that policies' defaults name: a kept pod is filled up with them.
	filling assertion
	// metadataDeny are the patterns of all policies.
	metadataDeny []string
	// hubEnv and metadataAllow are the patterns of each policy that names any.
	hubEnv, metadataAllow [][]string
	// adoptUnlabelled: claims without a hub label may be a user's home.
	adoptUnlabelled bool
	// appliedJSON is applied as the annotation holds it, where the claim is the template's own.
	appliedJSON string
	// usesClaim: the pod has a home claim, or names it. Claims are looked up only then.
	usesClaim bool
	// computing are the expressions; nil where there are none.
	computing *computing
	// mutations, in their order: the namespace's, then the cluster's.
	mutations []ownedMutation
	// additions say what may be added after the pod was fitted.
	additions additions
}

// planCache keeps plans, by policies and selection. What was typed by a user is never kept, so its size is
// bounded by what policies offer; the limit is against policies that offer very much.
type planCache struct {
	mu    sync.RWMutex
	plans map[string]*plan
}

const maxPlans = 4096

// planFor gives the plan of a set of policies and a selection, and makes it the first time.
func (c *Compiled) planFor(policies []*compiledPolicy, sel selection) *plan {
	if sel.unique {
		return newPlan(policies, sel)
	}
	var key strings.Builder
	for _, p := range policies {
		key.WriteString(p.ref.Namespace + "/" + p.ref.Name + "\x00")
	}
	key.WriteString(sel.key)
	c.plans.mu.RLock()
	found := c.plans.plans[key.String()]
	c.plans.mu.RUnlock()
	if found != nil {
		return found
	}
	made := newPlan(policies, sel)
	c.plans.mu.Lock()
	defer c.plans.mu.Unlock()
	if c.plans.plans == nil || len(c.plans.plans) >= maxPlans {
		c.plans.plans = map[string]*plan{}
	}
	c.plans.plans[key.String()] = made
	return made
}

func newPlan(policies []*compiledPolicy, sel selection) *plan {
	p := &plan{mode: skeletonMode(policies), adoptUnlabelled: adoptsUnlabelled(policies), additions: additionsOf(policies)}
	layers := layersOf(policies, sel)
	p.computing, p.mutations = computingOf(policies, layers), mutationsOf(policies)
	merged := p.merge(layers)
	if len(p.errs) > 0 {
		return p
	}
	var errs field.ErrorList
	p.settings, errs = decodeSettings(merged, nil)
	errs = append(errs, checkComplete(merged)...)
	if len(errs) == 0 {
		p.templates, errs = compileTemplates(p.settings, merged, nil)
		errs = append(errs, checkSettings(p.settings, nil)...) // what a user typed is here for the first time
	}
	p.errs = append(p.errs, locatedDenials(layers, merged, errs)...)
	if len(p.errs) > 0 {
		return p
	}
	p.asserted[0] = assertionOf(layers, layerNamespaceEnforced, merged)
	p.asserted[1] = assertionOf(layers, layerClusterEnforced, merged)
	p.filling = fillingOf(layers, merged)
	p.applied.Hash = hashOf(policies)
	for _, c := range policies {
		p.applied.Policies = append(p.applied.Policies, c.ref)
		if len(c.spec.HubEnv) > 0 {
			p.hubEnv = append(p.hubEnv, c.spec.HubEnv)
		}
		if m := c.spec.Metadata; m != nil {
			if len(m.Allow) > 0 {
				p.metadataAllow = append(p.metadataAllow, m.Allow)
			}
			p.metadataDeny = append(p.metadataDeny, m.Deny...)
		}
	}
	p.usesClaim = isTrue(p.settings.StoragePVCEnsure) || p.templates.name("pvc_name") || p.computing.gives("storagePvcEnsure")
	p.applied.Labels, p.applied.Annotations = p.governedKeys()
	encoded, err := json.Marshal(p.applied)
	if err != nil {
		p.errs = append(p.errs, denyf(PolicyInvalid, nil, "", "encode the applied policies: %v", err))
	}
	p.appliedJSON = string(encoded)
	return p
}

// governedKeys are the keys of labels and annotations that policy gives a pod, beside those that say who it is for. A kept pod
// has its own, and of policy's those that policies name.
func (p *plan) governedKeys() (labels, annotations []string) {
	if p.mode == v1alpha1.SkeletonKeep {
		for _, a := range append(p.asserted[:], p.filling) {
			labels = append(append(labels, a["commonLabels"].keys...), a["extraLabels"].keys...)
			annotations = append(annotations, a["extraAnnotations"].keys...)
			if _, named := a["componentLabel"]; named {
				labels = append(labels, labelComponent, labelComponentNew)
			}
		}
		slices.Sort(labels)
		slices.Sort(annotations)
		return slices.Compact(labels), slices.Compact(annotations)
	}
	all := map[string]string{labelComponent: "", labelComponentNew: ""}
	maps.Copy(all, p.settings.CommonLabels)
	maps.Copy(all, p.settings.ExtraLabels)
	return slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(p.settings.ExtraAnnotations))
}

// merge puts the layers over each other. Enforced things have the names that their keys stand for at that point; what the
// cluster enforces, those that the cluster gives: a namespace could otherwise have it gone by another name.
func (p *plan) merge(layers []layer) tree {
	merged, cluster := tree{}, tree{}
	for i := range layers {
		l := &layers[i]
		switch l.name {
		case layerNamespaceEnforced:
			l.block.tree = allNamed(l.block.tree, merged)
		case layerClusterEnforced:
			l.block.tree = allNamed(l.block.tree, cluster)
		}
		var errs field.ErrorList
		merged, errs = l.over(merged)
		p.blame(l.policy, namingLists(errs, layers[:i]))
		if l.policy == nil || l.policy.Namespace == "" {
			cluster, _ = l.over(cluster)
		}
		if l.name == layerClusterEnforced {
			merged = held(merged, cluster, l.block.tree)
		}
	}
	return merged
}

// namingLists says whose list it is that a map can't be merged into.
func namingLists(errs field.ErrorList, weaker []layer) field.ErrorList {
	for _, e := range errs {
		setting := e.Field[strings.LastIndexByte(e.Field, '.')+1:]
		for _, l := range slices.Backward(weaker) {
			if _, isList := l.block.tree[setting].([]any); isList && l.policy != nil {
				e.Detail = strings.Replace(e.Detail, weakerLayer, l.policy.String()+", "+l.at(setting)+",", 1)
				break
			}
		}
	}
	return errs
}

// at is where the layer says something of a setting.
func (l *layer) at(setting string) string {
	if l.name == layerExpression {
		return l.block.path.String()
	}
	return l.block.path.Child(setting).String()
}

func (p *plan) blame(policy *PolicyRef, errs field.ErrorList) {
	for _, e := range errs {
		p.errs = append(p.errs, denyf(PolicyInvalid, policy, e.Field, "%s", e.ErrorBody()))
	}
}

// over puts the layer over weaker ones: what it unsets goes first, then its own values come.
func (l *layer) over(weaker tree) (tree, field.ErrorList) {
	for _, u := range l.block.unset {
		weaker = u.take(weaker)
	}
	return mergeSettings(weaker, l.block.tree, l.block.path)
}

// layersOf has the order that everything else follows from, weakest first.
func layersOf(policies []*compiledPolicy, sel selection) []layer {
	layers := []layer{{name: layerBuiltIn, block: block{tree: builtIn()}}}
	add := func(name string, cluster bool, pick func(*compiledPolicy) block) {
		for _, p := range policies {
			if p.cluster == cluster {
				layers = append(layers, layer{name: name, policy: &p.ref, block: pick(p)})
			}
		}
	}
	defaults := func(p *compiledPolicy) block { return p.defaults }
	enforced := func(p *compiledPolicy) block { return p.enforced }
	add(layerClusterDefaults, true, defaults)
	add(layerNamespaceDefaults, false, defaults)
	layers = append(layers, sel.layers...)
	add(layerNamespaceEnforced, false, enforced)
	add(layerClusterEnforced, true, enforced)
	return layers
}

// skeletonMode is the strictest mode that a policy names.
func skeletonMode(policies []*compiledPolicy) v1alpha1.SkeletonMode {
	order := []v1alpha1.SkeletonMode{v1alpha1.SkeletonStrict, v1alpha1.SkeletonStrip, v1alpha1.SkeletonKeep}
	for _, mode := range order {
		if slices.ContainsFunc(policies, func(p *compiledPolicy) bool { return p.spec.Skeleton == mode }) {
			return mode
		}
	}
	return v1alpha1.SkeletonStrict
}

// assertion says which settings of one layer are put on the built pod once more.
type assertion map[string]scope

// scope is the part of a setting that is enforced: all of it, or some of its keys.
type scope struct {
	whole bool
	keys  []string
}

var everything = scope{whole: true}

// assertionOf collects what the blocks of a layer enforce.
func assertionOf(layers []layer, name string, merged tree) assertion {
	a := assertion{}
	for i := range layers {
		if layers[i].name != name {
			continue
		}
		b := &layers[i].block
		for setting, value := range b.tree {
			a.add(setting, scopeOf(setting, value, merged[setting]))
		}
		for _, u := range b.unset {
			if len(u.keys) == 0 || definitions[u.setting].shape == plain {
				a.add(u.setting, everything)
			} else {
				a.add(u.setting, scope{keys: u.keys[:1]})
			}
		}
	}
	return a
}

// fillingOf collects what the policies' defaults name and no layer took away again.
func fillingOf(layers []layer, merged tree) assertion {
	f := assertionOf(layers, layerClusterDefaults, merged)
	for setting, s := range assertionOf(layers, layerNamespaceDefaults, merged) {
		f.add(setting, s)
	}
	for setting, s := range f {
		value, has := merged[setting]
		keyed, isMap := value.(tree)
		switch {
		case !has:
			delete(f, setting)
		case s.whole && isMap && definitions[setting].shape == mapping:
			// Whoever unset all of it and said something new means that; the putters would put other settings beside it.
			f[setting] = scope{keys: slices.Sorted(maps.Keys(keyed))}
		}
	}
	return f
}

func (a assertion) add(setting string, s scope) {
	both := scope{whole: a[setting].whole || s.whole, keys: append(slices.Clone(a[setting].keys), s.keys...)}
	slices.Sort(both.keys)
	both.keys = slices.Compact(both.keys)
	a[setting] = both
}

// scopeOf: a list means exactly these, a map means these among others.
func scopeOf(setting string, value, merged any) scope {
	keyed, ok := value.(tree)
	// Terms of a required node affinity are alternatives: one more would open what the others close.
	if !ok || definitions[setting].shape == plain || setting == "nodeAffinityRequired" {
		return everything
	}
	s := scope{keys: []string{}}
	order := []string{}
	if m, ok := merged.(tree); ok {
		order = slices.Sorted(maps.Keys(m))
	}
	for key, item := range keyed {
		switch shape := definitions[setting].shape; shape {
		case byName, byMountPath:
			if m, ok := merged.(tree); ok && m[key] != nil {
				item = m[key] // a part of an item has its identity from a weaker layer
			}
			if t, ok := item.(tree); ok {
				key = identity(named(t, key), shape)
			}
		case anonymous:
			// Without an identity, an item is known by its place in the merged list.
			key = strconv.Itoa(slices.Index(order, key))
		case plain, mapping:
		}
		s.keys = append(s.keys, key)
	}
	return s
}
