package z2jh

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// passThrough applies hub.config: a trait set there replaces the chart's whole value of it.
func (b *builder) passThrough() {
	v, _ := b.get("hub.config")
	sections, _ := v.(Object)
	for _, section := range sortedByKey(sections) {
		at := kubespawner.Child("hub.config", section.Key)
		traits, _ := section.Value.(Object)
		switch {
		case section.Key == "" || section.Key[0] < 'A' || section.Key[0] > 'Z':
			b.refusef(at, "must be the name of a Python class, with a capital: the hub doesn't start with this")
		case section.Key == "KubeSpawner":
			b.kubeSection(traits, at)
		case section.Key == "Spawner":
			b.spawnerSection(traits, at)
		case section.Key == "JupyterHub":
			b.hubSection(traits, at)
		case strings.HasSuffix(section.Key, "Spawner"):
			b.find(kubespawner.Unmapped, at, "concerns a spawner class of its own, not KubeSpawner itself", "write what shapes the pod into the policy by hand")
		}
	}
}

func (b *builder) kubeSection(traits Object, at string) {
	for _, m := range sortedByKey(traits) {
		here := kubespawner.Child(at, m.Key)
		b.protects(m.Key, m.Value, here)
		b.set(m.Key, m.Value, here)
	}
}

// spawnerSection: what the chart says to KubeSpawner wins over what is said to Spawner.
func (b *builder) spawnerSection(traits Object, at string) {
	for _, m := range sortedByKey(traits) {
		here := kubespawner.Child(at, m.Key)
		if _, beaten := b.kube[m.Key]; beaten {
			b.find(kubespawner.Warning, here, "has no effect: the chart sets "+m.Key+" for KubeSpawner, which wins over Spawner", "write it in "+valueOf(m.Key)+" or in hub.config.KubeSpawner")
			continue
		}
		if kubespawner.IsOldName(m.Key) {
			b.find(kubespawner.Warning, here, "has no effect: KubeSpawner looks for old names in its own section alone", "write today's name, in hub.config.KubeSpawner")
			continue
		}
		b.setSpawner(m.Key, m.Value, here)
	}
}

// valueOf is the chart's own value for a trait.
func valueOf(trait string) string {
	for _, p := range passed {
		if p.trait == trait {
			return "singleuser." + p.value
		}
	}
	return "singleuser"
}

func (b *builder) hubSection(traits Object, at string) {
	if v, has := traits.Get("spawner_class"); has && v != "kubespawner.KubeSpawner" && v != "kubespawner" {
		b.find(kubespawner.Unmapped, at+".spawner_class", fmt.Sprintf("the hub doesn't use KubeSpawner itself but %v, which may change anything", v), "compare its pods with the policy's (slipway diff)")
	}
}

// protections are what the chart builds into a trait, and is lost where that trait is replaced.
func (b *builder) protects(trait string, v any, at string) {
	if lost := b.lost(trait, v); lost != "" {
		b.find(kubespawner.Warning, at, "replaces the chart's whole value and drops "+lost, "repeat what is meant to stay")
	}
}

// lost is what goes with the chart's value where v replaces it; "" where nothing does.
func (b *builder) lost(trait string, v any) string {
	mounted := b.text("singleuser.storage.type") != "none"
	switch trait {
	case "init_containers":
		if b.is("singleuser.cloudMetadata.blockWithIptables") && !b.mentions(v, blockContainer) {
			return "the init container that blocks the cloud's metadata server"
		}
	case "extra_labels":
		if !b.mentions(v, networkAccess) {
			return "the label " + networkAccess + ": servers can't reach the hub while the chart's NetworkPolicy is on"
		}
	case "common_labels":
		if !b.mentions(v, "release") || !b.mentions(v, "app") {
			return "the labels app and release, by which the chart's NetworkPolicies select pods: they have unrestricted network then"
		}
	case "volumes":
		if mounted && !b.mentions(v, homeVolume(b.kube["volumes"])) {
			return "the home volume, while its mount stays: Kubernetes refuses the pod"
		}
	case "volume_mounts":
		if mounted && !b.mentions(v, b.text("singleuser.storage.homeMountPath")) {
			return "the mount of the user's home"
		}
	case "node_affinity_preferred", "node_affinity_required":
		if b.mentions(b.kube[trait], nodePurposeLabel) && !b.mentions(v, nodePurposeLabel) {
			return "the node purpose of scheduling.userPods.nodeAffinity"
		}
	case "tolerations":
		if !b.mentions(v, "hub.jupyter.org") {
			return "the chart's tolerations for nodes that are dedicated to users"
		}
	}
	return ""
}

// homeVolume is the name of the first volume that the chart makes.
func homeVolume(volumes any) string {
	switch v := volumes.(type) {
	case Object:
		if len(v) > 0 {
			return v[0].Key
		}
	case []any:
		if len(v) > 0 {
			o, _ := v[0].(Object)
			name, _ := o.Get("name")
			s, _ := name.(string)
			return s
		}
	}
	return ""
}

// mentions says whether a text is a key or a value somewhere in v.
func (b *builder) mentions(v any, what string) bool {
	switch v := v.(type) {
	case string:
		return v == what || strings.HasPrefix(v, what)
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return b.mentions(item, what) })
	case Object:
		return slices.ContainsFunc(v, func(m kubespawner.Member) bool {
			return m.Key == what || b.mentions(m.Value, what)
		})
	}
	return false
}

var setTrait = regexp.MustCompile(`\bc\.(?:Kube)?Spawner\.([a-z_]+)`)

// python reports what runs in the hub and can't be read from values.
func (b *builder) python() {
	v, _ := b.get("hub.extraConfig")
	code, _ := v.(Object)
	readsCustom := false
	for _, m := range sortedByKey(code) {
		text, _ := m.Value.(string)
		why := "is Python that runs in the hub after everything else, and can't be run here"
		if traits := traitsIn(text); len(traits) > 0 {
			why += "; it sets " + strings.Join(traits, ", ")
		}
		b.find(kubespawner.Unmapped, kubespawner.Child("hub.extraConfig", m.Key), why, "import the hub's whole configuration with slipway import kubespawner, or write what it does to pods into the policy")
		readsCustom = readsCustom || strings.Contains(text, "custom.") || strings.Contains(text, `"custom"`) || strings.Contains(text, "'custom'")
	}
	if v, _ := b.get("custom"); readsCustom && len(asObject(v)) > 0 {
		b.find(kubespawner.Unmapped, "custom", "is read by hub.extraConfig", "see there")
	}
	v, _ = b.get("hub.extraFiles")
	for _, m := range sortedByKey(asObject(v)) {
		path, _ := asObject(m.Value).Get("mountPath")
		if s, _ := path.(string); strings.Contains(s, "jupyterhub_config.d/") {
			b.find(kubespawner.Unmapped, kubespawner.Child("hub.extraFiles", m.Key), "is Python that the hub runs as configuration, and can't be run here", "write what it does to pods into the policy")
		}
	}
	if name := b.text("hub.existingSecret"); name != "" {
		b.find(kubespawner.Unmapped, "hub.existingSecret", "the Secret "+name+" may hold values.yaml, which is laid over these values", "give its values.yaml as the last -f")
	}
}

func traitsIn(code string) []string {
	var names []string
	for _, m := range setTrait.FindAllStringSubmatch(code, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names
}

func asObject(v any) Object {
	o, _ := v.(Object)
	return o
}

func sortedByKey(o Object) Object {
	out := slices.Clone(o)
	slices.SortStableFunc(out, func(a, b kubespawner.Member) int { return strings.Compare(a.Key, b.Key) })
	return out
}
