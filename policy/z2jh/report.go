package z2jh

import (
	"slices"
	"strings"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// networkDoors are labels that open the chart's NetworkPolicies; on a user's pod they let it reach more than it should.
var networkDoors = []string{"hub.jupyter.org/network-access-proxy-api", "hub.jupyter.org/network-access-proxy-http", "hub.jupyter.org/network-access-singleuser"}

// inProfiles names what profiles drop of the chart's protections: a list there replaces the chart's list.
func (b *builder) inProfiles() {
	for _, label := range networkDoors {
		if b.mentions(b.kube["extra_labels"], label) {
			b.find(kubespawner.Warning, kubespawner.Child(b.origins["extra_labels"], label), "lets users' code reach parts of the hub that are closed to it otherwise", "delete it")
		}
	}
	if labels := asObject(b.kube["extra_labels"]); b.is("singleuser.networkPolicy.enabled") {
		if v, _ := labels.Get(networkAccess); v != "true" && b.origins["extra_labels"] == "singleuser.extraLabels" {
			b.find(kubespawner.Warning, "singleuser.extraLabels", "the label "+networkAccess+" isn't \"true\": servers can't reach the hub while the chart's NetworkPolicy is on", "set it")
		}
	}
	profiles, _ := b.kube["profile_list"].([]any)
	for i, p := range profiles {
		b.inProfile(asObject(p), kubespawner.Index(b.origins["profile_list"], i))
	}
}

func (b *builder) inProfile(profile Object, at string) {
	override, _ := profile.Get("kubespawner_override")
	b.inOverride(asObject(override), at+".kubespawner_override")
	options, _ := profile.Get("profile_options")
	for _, option := range asObject(options) {
		here := kubespawner.Child(at+".profile_options", option.Key)
		choices, _ := asObject(option.Value).Get("choices")
		for _, choice := range asObject(choices) {
			override, _ := asObject(choice.Value).Get("kubespawner_override")
			b.inOverride(asObject(override), kubespawner.Child(here+".choices", choice.Key)+".kubespawner_override")
		}
		unlisted, _ := asObject(option.Value).Get("unlisted_choice")
		override, _ := asObject(unlisted).Get("kubespawner_override")
		b.inOverride(asObject(override), here+".unlisted_choice.kubespawner_override")
	}
}

func (b *builder) inOverride(override Object, at string) {
	for _, m := range override {
		here := kubespawner.Child(at, m.Key)
		_, isMap := m.Value.(Object)
		_, isList := m.Value.([]any)
		_, overMap := b.kube[m.Key].(Object)
		switch m.Key {
		case "init_containers", "tolerations", "node_affinity_preferred", "node_affinity_required", "volumes", "volume_mounts":
			// A map is merged into the chart's map, and replaces the chart's list.
			if isList || isMap && !overMap {
				b.protects(m.Key, m.Value, here)
			}
		case "extra_labels", "common_labels":
			for _, label := range asObject(m.Value) {
				switch {
				case label.Value == nil:
					b.find(kubespawner.Warning, kubespawner.Child(here, label.Key), "takes away a label that the chart's NetworkPolicies may select by", "")
				case strings.HasPrefix(label.Key, "hub.jupyter.org/network-access-") && label.Key != networkAccess:
					b.find(kubespawner.Warning, kubespawner.Child(here, label.Key), "lets users' code reach parts of the hub that are closed to it otherwise", "delete it")
				}
			}
		}
	}
}

// stays says once what the chart goes on doing.
func (b *builder) stays() {
	b.find(kubespawner.Note, "values", "networkPolicy, prePuller, userPlaceholder, userScheduler, corePods, proxy, ingress, httpRoute and cull stay in the Zero-to-JupyterHub chart",
		"placeholders and image pullers copy scheduling and images from the values, not from policy: keep both the same")
}

// firstChoices warns where the first choice of an option is its default, and isn't the one that stands first in the file.
func (b *builder) firstChoices() {
	for i, p := range b.list("singleuser.profileList") {
		options, _ := asObject(p).Get("profile_options")
		for _, option := range asObject(options) {
			v, _ := asObject(option.Value).Get("choices")
			choices := asObject(v)
			named := slices.ContainsFunc(choices, func(m kubespawner.Member) bool {
				v, _ := asObject(m.Value).Get("default")
				return v != nil && v != false
			})
			if len(choices) == 0 || named {
				continue
			}
			if first := sortedByHelm(choices)[0].Key; first != choices[0].Key {
				at := kubespawner.Child(kubespawner.Child(kubespawner.Index("singleuser.profileList", i), "profile_options"), option.Key) + ".choices"
				b.find(kubespawner.Warning, at, "no choice is the default, and Helm sorts them by key: "+first+" is the default, not "+choices[0].Key, "set default: true for the one that is meant")
			}
		}
	}
}
