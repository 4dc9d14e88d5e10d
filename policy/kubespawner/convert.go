package kubespawner

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Options say what a policy needs beside the traits.
type Options struct {
	// Name and Namespace of the policy. Empty: imported, and none.
	Name, Namespace string
	// Hub is the value of the label slipway.dev/hub that the policy is for. Empty: every hub.
	Hub string
	// Launcher is the account that creates the skeletons.
	Launcher v1alpha1.ServiceAccountRef
	// Evident imports what KubeSpawner refuses but is plainly meant: memory as 1Gi, environment as a list or with
	// numbers. Each comes with a Warning.
	Evident bool
	// AllowedGroups makes allowed_groups and allowed_users of profiles and choices, which KubeSpawner itself ignores and
	// some hubs' own code reads, into the policy's.
	AllowedGroups bool
	// Origins are the paths to name for traits that come from elsewhere: "mem_limit" to "singleuser.memory.limit".
	// A trait that isn't in it is named by itself.
	Origins map[string]string
}

// Imported is a policy, and what there is to say about it.
type Imported struct {
	Policy *v1alpha1.SpawnPolicy
	// Findings in the order of the traits' reference.
	Findings []Finding
	// Comments explain, by path in the policy (spec.defaults.memLimit), where a mapping isn't obvious.
	Comments map[string]string
}

// Convert gives the policy that makes the pods that KubeSpawner makes with these traits. The traits are JSON values under their
// Python names, a map whose order matters is an Object, and {"$callable": NAME} stands for a Python function. The error holds every
// ProblemError that was found.
func Convert(in map[string]any, o Options) (*v1alpha1.SpawnPolicy, []Finding, error) {
	imported, err := Import(in, o)
	if err != nil {
		return nil, nil, err
	}
	return imported.Policy, imported.Findings, nil
}

// Import is Convert with comments.
func Import(in map[string]any, o Options) (*Imported, error) {
	c := &converter{opts: o, said: map[string]bool{}, old: map[string]string{}, comments: map[string]string{}}
	given, err := c.renamed(in)
	if err != nil {
		return nil, err
	}
	c.defaults(given)
	profiles := c.profiles(given)
	c.elsewhere(given)
	spec := v1alpha1.SpawnPolicySpec{
		Launchers: []v1alpha1.Launcher{{ServiceAccount: o.Launcher, MayAssertGroups: []string{"*"}}},
		HubEnv:    c.hubEnv(given),
		Profiles:  profiles,
	}
	if o.Hub != "" {
		spec.Hubs = []string{o.Hub}
		spec.Launchers[0].Hubs = []string{o.Hub}
	}
	spec.Defaults = c.settings(c.defaultsBlock, "defaults")
	if d := spec.Defaults; d != nil && d.StoragePVCEnsure != nil && *d.StoragePVCEnsure {
		spec.AdoptClaims = v1alpha1.AdoptUnlabelled
		c.comments["spec.adoptClaims"] = "for the homes that KubeSpawner made; a new hub, which has none, is better off without"
	}
	name := o.Name
	if name == "" {
		name = "imported"
	}
	policy := &v1alpha1.SpawnPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "SpawnPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: o.Namespace},
		Spec:       spec,
	}
	c.about(given, policy)
	c.explain(policy)
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	return &Imported{Policy: policy, Findings: c.findings, Comments: c.comments}, nil
}

// explain says in the policy itself what isn't obvious there.
func (c *converter) explain(policy *v1alpha1.SpawnPolicy) {
	c.comments["spec.hubEnv"] = "what the hub alone knows; sizes and the image's name are computed in the cluster"
	if policy.Spec.Defaults == nil {
		return
	}
	for _, t := range traits {
		if _, isMap := c.defaultsBlock.values[t.setting].(Object); isMap && t.list {
			c.comments["spec.defaults."+t.setting] = "in the order of the keys; profiles merge by them"
		}
	}
	if len(policy.Spec.Defaults.Unset) > 0 {
		c.comments["spec.defaults.unset"] = "KubeSpawner's own defaults, which this hub doesn't have"
	}
}

// converter gathers what is found on the way.
type converter struct {
	opts     Options
	findings []Finding
	problems []error
	comments map[string]string
	said     map[string]bool
	// old are the paths of traits that were given under an old name.
	old map[string]string

	// block is the settings block that is being written.
	block *block
	// override: it stands over a weaker block, which it must be able to take things from.
	override bool
	// typed: it belongs to an unlisted choice, and {value} in it is what the user typed.
	typed bool
	// base is what the traits are before any profile, and defaultsBlock what was made of them.
	base          map[string]any
	defaultsBlock *block
}

// block is a block of settings in the making.
type block struct {
	// at is the block's path in the policy, for comments.
	at     string
	values map[string]any
	unset  []string
}

// take says that weaker layers' value is to be taken away.
func (b *block) take(setting string, keys ...string) {
	path := setting
	if len(keys) > 0 {
		path += "[" + strings.Join(keys, "][") + "]"
	}
	if !slices.Contains(b.unset, path) {
		b.unset = append(b.unset, path)
	}
}

func (c *converter) origin(trait string) string {
	if path, ok := c.old[trait]; ok {
		return path
	}
	if path, ok := c.opts.Origins[trait]; ok {
		return path
	}
	return trait
}

// renamed gives the traits under today's names, as ordered values.
func (c *converter) renamed(in map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v, err := ordered(in[name])
		if err != nil {
			c.refusef(c.origin(name), "%s", err)
			continue
		}
		c.place(out, in, name, v)
	}
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	return out, nil
}

// defaults is the block that every server gets.
func (c *converter) defaults(given map[string]any) {
	c.block, c.base = &block{at: "spec.defaults", values: map[string]any{}}, given
	for _, t := range traits {
		if v, ok := given[t.name]; ok {
			c.assign(t, v, c.origin(t.name))
		}
	}
	c.withoutEffect(given)
	c.defaultsBlock = c.block
}

// assign writes a trait's whole value.
func (c *converter) assign(t *trait, v any, at string) {
	if name, ok := callable(v); ok {
		c.function(t, v.(Object), name, at)
		return
	}
	before := len(c.problems)
	out := c.read(t, v, at)
	if len(c.problems) > before {
		return
	}
	switch {
	case out == unsaid{}:
	case t.name == "common_labels" && !c.override:
		c.replaceCommonLabels(out)
	case out == nil:
		if c.override || t.builtIn {
			c.block.take(t.setting)
		}
	case empty(out) && !c.override && !t.builtIn:
	default:
		c.block.values[t.setting] = out
	}
}

// unsaid is what read gives for a value that can't be carried over, which was reported.
type unsaid struct{}

func (c *converter) read(t *trait, v any, at string) any {
	if v == nil {
		if !t.nullable {
			c.wrongType(at, "set", nil)
		}
		return nil
	}
	if v == "" && t.emptyIsNone {
		return nil
	}
	out := t.read(c, t, v, at)
	c.checkTemplates(out, t.expand, at)
	return out
}

// replaceCommonLabels: KubeSpawner's own four go where the trait is set at all, so those that aren't named again are taken away.
func (c *converter) replaceCommonLabels(out any) {
	labels, _ := out.(Object)
	if len(labels) == 0 {
		c.block.take("commonLabels")
		return
	}
	c.block.values["commonLabels"] = labels
	for _, builtIn := range []string{"app", "app.kubernetes.io/managed-by", "app.kubernetes.io/name", "heritage"} {
		if _, named := labels.Get(builtIn); !named {
			c.block.take("commonLabels", builtIn)
		}
	}
}

func empty(v any) bool {
	switch v := v.(type) {
	case Object:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// settings gives a finished block its type; nil where it says nothing.
func (c *converter) settings(b *block, at string) *v1alpha1.Settings {
	data, err := c.blockJSON(b)
	if err != nil {
		c.refusef(at, "%s", err)
		return nil
	}
	if data == nil {
		return nil
	}
	s := &v1alpha1.Settings{}
	if err := json.Unmarshal(data, s); err != nil {
		c.refusef(at, "%s", fmt.Errorf("as settings: %w", err))
		return nil
	}
	return s
}

func (c *converter) blockJSON(b *block) ([]byte, error) {
	all := maps.Clone(b.values)
	if len(b.unset) > 0 {
		all["unset"] = b.unset
	}
	if len(all) == 0 {
		return nil, nil
	}
	return marshal(all)
}

// hubEnv lets through what the hub alone can know. Sizes and the image's name aren't in it: the cluster computes them.
func (c *converter) hubEnv(given map[string]any) []string {
	env := []string{"JUPYTERHUB_*", "JPY_API_TOKEN"}
	at := c.origin("env_keep")
	v, ok := given["env_keep"]
	if !ok {
		return env
	}
	list, ok := v.([]any)
	if !ok {
		c.wrongType(at, "a list of variable names", v)
		return env
	}
	for i, item := range list {
		name, ok := item.(string)
		if !ok {
			c.wrongType(Index(at, i), "a variable's name", item)
			continue
		}
		if !slices.Contains(env, name) && !matchesHubEnv(name) {
			env = append(env, name)
		}
	}
	return env
}

func matchesHubEnv(name string) bool { return len(name) >= 11 && name[:11] == "JUPYTERHUB_" }
