package policy

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Layers of fields that no layer of settings gives.
const (
	// layerIdentity is what the hub says of the server, and what follows from it.
	layerIdentity = "identity"
	// layerSent is the pod that a hub sent, in skeleton mode Keep.
	layerSent     = "hub's pod"
	layerMutation = "mutation"
)

// Field is one value of the fitted pod (spec.containers[notebook].image), of the home claim (claim.spec.storageClassName) or of another
// (claims[scratch].spec.storageClassName), and who set it.
type Field struct {
	Path string `json:"path"`
	// Value is left out where it may be a secret, or is the hub's word.
	Value string `json:"value,omitempty"`
	// Private: the value is left out.
	Private bool `json:"private,omitempty"`
	// By is who set it, with the weaker ones in Overrode.
	By Origin `json:"by"`
}

// fieldTrace watches a pod being made, and notes after each step who is behind what the step changed. A nil trace notes nothing.
type fieldTrace struct {
	x    *server
	said *said
	// seen are the leaves after the last step, and by is who set each, strongest last.
	seen map[string]string
	by   map[string][]Origin
	// filled is the trace of the pod that a kept one is filled up from.
	filled *fieldTrace
}

// culprit says who is behind a leaf.
type culprit func(leaf *Leaf) []Origin

func (x *server) newTrace() *fieldTrace {
	layers := layersOf(x.policies, x.sel)
	strongest := slices.IndexFunc(layers, func(l layer) bool { return l.enforced() })
	if strongest < 0 {
		strongest = len(layers)
	}
	return traceBy(x, whoSaid(slices.Insert(layers, strongest, x.computedLayers...)))
}

func traceBy(x *server, by *said) *fieldTrace {
	return &fieldTrace{x: x, said: by, seen: map[string]string{}, by: map[string][]Origin{}}
}

// step notes what the last step has changed of the pod.
func (t *fieldTrace) step(pod *corev1.Pod, who culprit) {
	seen := make(map[string]string, len(t.seen))
	leaves := PodLeaves(pod)
	for i := range leaves {
		l := &leaves[i]
		seen[l.Path] = l.Value
		if was, had := t.seen[l.Path]; !had || was != l.Value {
			t.note(l.Path, who(l))
		}
	}
	for path := range t.seen {
		if _, left := seen[path]; !left {
			delete(t.by, path)
		}
	}
	t.seen = seen
}

// note: who spoke before and speaks again is stronger now.
func (t *fieldTrace) note(path string, by []Origin) {
	chain := t.by[path]
	for i := range by {
		chain = slices.DeleteFunc(slices.Clone(chain), func(o Origin) bool { return sameOrigin(&o, &by[i]) })
		chain = append(chain, by[i])
	}
	t.by[path] = chain
}

func sameOrigin(a, b *Origin) bool {
	return a.Layer == b.Layer && a.Path == b.Path && a.Setting == b.Setting && (a.Policy == b.Policy || a.Policy != nil && b.Policy != nil && *a.Policy == *b.Policy)
}

// put notes what putting a setting changed.
func (t *fieldTrace) put(pod *corev1.Pod, setting string) {
	if t == nil {
		return
	}
	t.step(pod, func(l *Leaf) []Origin { return t.setting(setting, l.segments) })
}

// rest notes what no single setting's step changed: metadata, variables, and what holds for every container.
func (t *fieldTrace) rest(pod *corev1.Pod) {
	if t == nil {
		return
	}
	t.step(pod, func(l *Leaf) []Origin { return t.other(l.segments) })
}

func (t *fieldTrace) mutated(pod *corev1.Pod, m *ownedMutation) {
	if t == nil {
		return
	}
	t.step(pod, func(l *Leaf) []Origin {
		if l.Path == "metadata.annotations["+AnnotationApplied+"]" {
			return t.other(l.segments)
		}
		return []Origin{{Layer: layerMutation, Policy: m.policy, Path: m.path.String()}}
	})
}

func (t *fieldTrace) sent(pod *corev1.Pod) {
	if t == nil {
		return
	}
	t.step(pod, func(l *Leaf) []Origin {
		if l.segments[0] == "metadata" && !strings.HasPrefix(l.segments[len(l.segments)-1], "[") {
			return t.metadata(l.segments[1:])
		}
		return []Origin{{Layer: layerSent}}
	})
}

// donor notes who is behind what a kept pod is filled up from.
func (t *fieldTrace) donor(pod *corev1.Pod, setting string) {
	if t == nil {
		return
	}
	if t.filled == nil {
		t.filled = traceBy(t.x, t.said)
	}
	t.filled.put(pod, setting)
}

// fill notes what was filled up; each leaf is that of the donor, and the rest follows from what was filled.
func (t *fieldTrace) fill(pod *corev1.Pod) {
	if t == nil {
		return
	}
	t.step(pod, func(l *Leaf) []Origin {
		if t.filled != nil && len(t.filled.by[l.Path]) > 0 {
			return t.filled.by[l.Path]
		}
		return t.other(l.segments)
	})
}

// fields are the leaves of the result, with who set each.
func (t *fieldTrace) fields(r *Result) []Field {
	t.rest(r.Pod)
	leaves := PodLeaves(r.Pod)
	fields := make([]Field, 0, len(leaves))
	for i := range leaves {
		fields = append(fields, fieldOf(&leaves[i], t.by[leaves[i].Path]))
	}
	claim := func(path, key string, c *corev1.PersistentVolumeClaim) {
		leaves := ClaimLeaves(path, c)
		for i := range leaves {
			fields = append(fields, fieldOf(&leaves[i], t.claim(key, leaves[i].segments[len(segmentsOf(path)):])))
		}
	}
	claim("claim", "", r.Claim)
	for _, c := range r.MoreClaims {
		claim("claims["+c.Labels[LabelClaim]+"]", c.Labels[LabelClaim], c)
	}
	return fields
}

func fieldOf(l *Leaf, by []Origin) Field {
	f := Field{Path: l.Path, Value: l.Value, Private: l.Private}
	if o := blamedOn(by); o != nil {
		f.By = *o
	}
	if f.Private = f.Private || f.By.Layer == layerSent || f.By.Layer == layerIdentity && !isName(l); f.Private {
		f.Value = ""
	}
	return f
}

// isName: whom a server is for is no secret to who asks about it.
func isName(l *Leaf) bool {
	return slices.Contains([]string{"[" + LabelHub + "]", "[" + LabelUsername + "]", "[" + LabelServername + "]", "name", "namespace"}, l.segments[len(l.segments)-1])
}

// other is who is behind what isn't put by a setting alone.
func (t *fieldTrace) other(segments []string) []Origin {
	last := segments[len(segments)-1]
	switch {
	case segments[0] == "metadata":
		return t.metadata(segments[1:])
	case len(segments) > envDepth && segments[envDepth-1] == "env":
		return t.variable(strings.Trim(segments[envDepth], "[]"), segments[envDepth+1:])
	case last == "privileged", last == "allowPrivilegeEscalation":
		return t.setting(last, segments)
	case len(segments) > envDepth && segments[envDepth-1] == "resources":
		return t.setting(map[string]string{"[cpu]": "cpuLimit", "[memory]": "memLimit"}[last], segments) // requests follow limits
	case segments[1] == "volumes", len(segments) > envDepth && segments[envDepth-1] == "volumeMounts":
		return t.setting("internalSsl", segments)
	}
	return []Origin{{Layer: layerBuiltIn}}
}

// envDepth is how far down the key of a variable stands: spec, containers, [notebook], env, [NAME].
const envDepth = 4

// setting is who is behind a leaf that a setting put there. What nobody has set is as upstream has it.
func (t *fieldTrace) setting(name string, segments []string) []Origin {
	if name == "environment" && len(segments) > envDepth {
		return t.variable(strings.Trim(segments[envDepth], "[]"), segments[envDepth+1:])
	}
	if name == "serviceAccount" && segments != nil && segments[len(segments)-1] == automount {
		name = automount // which the account's absence decides where nobody says it
	}
	anchor := segmentsOf(strings.TrimSuffix(definitions[name].lands, ".*"))
	var keys []string
	if len(segments) > len(anchor) && slices.Equal(anchor, segments[:len(anchor)]) {
		for _, s := range segments[len(anchor):] {
			keys = append(keys, strings.Trim(s, "[]"))
		}
	}
	if shape := definitions[name].shape; len(keys) > 0 && shape != plain && shape != mapping {
		key, known := t.itemKey(name, keys[0])
		if !known {
			return t.setting("internalSsl", segments) // its volume and mount stand beside policy's own
		}
		keys[0] = key
	}
	if by := t.said.below[name]; by != nil {
		return by.at(keys)
	}
	return []Origin{{Setting: name, Layer: layerBuiltIn}}
}

const automount = "automountServiceAccountToken"

// settings are those that a leaf is made of; the strongest word is the one that decides.
func (t *fieldTrace) settings(names, segments []string) []Origin {
	var all []Origin
	for _, name := range names {
		all = append(all, t.setting(name, segments)...)
	}
	slices.SortStableFunc(all, func(a, b Origin) int { return slices.Index(layerOrder, a.Layer) - slices.Index(layerOrder, b.Layer) })
	return all
}

// layerOrder has the layers of settings, weakest first.
var layerOrder = []string{
	layerBuiltIn, layerClusterDefaults, layerNamespaceDefaults, layerProfile, layerChoice, layerExpression, layerNamespaceEnforced, layerClusterEnforced,
}

// itemKey is the key in the settings of an item that is in the pod by its expanded name, or by its place.
func (t *fieldTrace) itemKey(setting, inPod string) (key string, known bool) {
	var names []string
	switch s := t.x.s; setting {
	case "volumes":
		names = itemNames(s.Volumes, volumeName)
	case "volumeMounts":
		names = itemNames(s.VolumeMounts, func(m *corev1.VolumeMount) string { return m.MountPath })
	case "initContainers":
		names = itemNames(s.InitContainers, func(c *corev1.Container) string { return c.Name })
	case "extraContainers":
		names = itemNames(s.ExtraContainers, func(c *corev1.Container) string { return c.Name })
	default:
		if at, isPlace := indexOf(inPod); isPlace {
			if items := t.said.below[setting].items(); at < len(items) {
				return items[at], true
			}
			return strconv.Itoa(at), true
		}
	}
	by := t.said.below[setting]
	if at := slices.Index(names, inPod); at >= 0 && by != nil && at < len(by.items()) {
		return by.items()[at], true
	}
	return "", false
}

func itemNames[V any](items []V, name func(*V) string) []string {
	names := make([]string, len(items))
	for i := range items {
		names[i] = name(&items[i])
	}
	return names
}

// variable is who is behind a variable of the notebook: the hub, settings that land in it, policy's own environment.
func (t *fieldTrace) variable(name string, below []string) []Origin {
	var by []Origin
	id := &t.x.in.Identity
	if _, given := id.Env[name]; (given || slices.Contains(id.EnvKeys, name)) && t.x.plan.letsThrough(name) {
		by = append(by, Origin{Layer: layerIdentity})
	}
	for _, f := range followers {
		if f.name == name {
			by = append(by, t.setting(f.setting, nil)...)
		}
	}
	if name == serviceURLVariable {
		by = append(by, t.settings([]string{"ip", "port"}, nil)...)
	}
	if slices.Contains(certificateVariableNames, name) {
		by = append(by, t.setting("internalSsl", nil)...)
	}
	for key, v := range t.x.s.Environment {
		if own := t.said.below["environment"]; v.Name == name && own != nil {
			keys := []string{key}
			for _, s := range below {
				keys = append(keys, strings.Trim(s, "[]"))
			}
			by = append(by, own.at(keys)...)
		}
	}
	if len(by) == 0 && t.x.keeping() {
		return []Origin{{Layer: layerSent}}
	}
	return by
}
