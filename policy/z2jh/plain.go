package z2jh

import "github.com/slipway-hub/slipway/policy/kubespawner"

// networkAccess is the label without which the chart's NetworkPolicy keeps a server from its hub.
const networkAccess = "hub.jupyter.org/network-access-hub"

// passed are the values that the chart hands to KubeSpawner as they stand, unless they are null.
var passed = []struct{ trait, value string }{
	{"pod_name_template", "podNameTemplate"},
	{"start_timeout", "startTimeout"},
	{"image_pull_policy", "image.pullPolicy"},
	{"events_enabled", "events"},
	{"extra_labels", "extraLabels"},
	{"extra_annotations", "extraAnnotations"},
	{"uid", "uid"},
	{"fs_gid", "fsGid"},
	{"service_account", "serviceAccountName"},
	{"storage_extra_labels", "storage.extraLabels"},
	{"node_selector", "nodeSelector"},
	{"node_affinity_required", "extraNodeAffinity.required"},
	{"node_affinity_preferred", "extraNodeAffinity.preferred"},
	{"pod_affinity_required", "extraPodAffinity.required"},
	{"pod_affinity_preferred", "extraPodAffinity.preferred"},
	{"pod_anti_affinity_required", "extraPodAntiAffinity.required"},
	{"pod_anti_affinity_preferred", "extraPodAntiAffinity.preferred"},
	{"lifecycle_hooks", "lifecycleHooks"},
	{"init_containers", "initContainers"},
	{"extra_containers", "extraContainers"},
	{"mem_limit", "memory.limit"},
	{"mem_guarantee", "memory.guarantee"},
	{"cpu_limit", "cpu.limit"},
	{"cpu_guarantee", "cpu.guarantee"},
	{"extra_resource_limits", "extraResource.limits"},
	{"extra_resource_guarantees", "extraResource.guarantees"},
	{"environment", "extraEnv"},
	{"profile_list", "profileList"},
	{"extra_pod_config", "extraPodConfig"},
}

func (b *builder) plain() {
	for _, p := range passed {
		path := "singleuser." + p.value
		if v, _ := b.get(path); v != nil {
			b.set(p.trait, v, path)
		}
	}
	// This one is set even if it is null, which is another thing than KubeSpawner's own default.
	escalation, _ := b.get("singleuser.allowPrivilegeEscalation")
	b.set("allow_privilege_escalation", escalation, "singleuser.allowPrivilegeEscalation")
}

func (b *builder) image() {
	name, tag := b.text("singleuser.image.name"), b.text("singleuser.image.tag")
	if name == "" {
		return
	}
	if tag == "" {
		b.find(kubespawner.Warning, "singleuser.image.tag", "without a tag the chart's image puller is no valid YAML, and Helm fails", "write a tag")
	} else {
		name += ":" + tag
	}
	b.set("image", name, "singleuser.image")
}

// pullSecrets: order is kept, and so are duplicates.
func (b *builder) pullSecrets() {
	var all []any
	if b.is("imagePullSecret.create") {
		at := "imagePullSecret"
		if b.is("imagePullSecret.automaticReferenceInjection") {
			all = append(all, b.inNamespace("image-pull-secret"))
			b.find(kubespawner.Note, at, "the policy refers to the chart's Secret "+b.inNamespace("image-pull-secret")+"; its content stays out of the policy", "keep the Secret, which the chart makes")
		}
		secret, _ := b.get(at)
		o, _ := secret.(Object)
		for _, key := range []string{"registry", "username", "password"} {
			if v, _ := o.Get(key); v == nil {
				b.find(kubespawner.Warning, at+"."+key, "is needed by the chart, and isn't in these values", "it may be in another values file; the policy doesn't need it")
			}
		}
		for _, m := range o {
			if _, known := schema.keys[at].keys[m.Key]; !known {
				b.find(kubespawner.Warning, at+"."+m.Key, "the chart has no such value, and Helm refuses it together with create: true", "delete it")
			}
		}
	}
	all = append(all, b.list("imagePullSecrets")...)
	all = append(all, b.list("singleuser.image.pullSecrets")...)
	if len(all) > 0 {
		b.set("image_pull_secrets", all, "imagePullSecrets")
	}
}

// hubSide are the settings that the chart gives to Spawner, and KubeSpawner inherits.
func (b *builder) hubSide() {
	if v, _ := b.get("hub.consecutiveFailureLimit"); v != nil {
		b.setSpawner("consecutive_failure_limit", v, "hub.consecutiveFailureLimit")
	}
	if v, has := b.get("singleuser.cmd"); has {
		b.setSpawner("cmd", v, "singleuser.cmd")
	}
	if v, _ := b.get("singleuser.defaultUrl"); v != nil {
		b.setSpawner("default_url", v, "singleuser.defaultUrl")
	}
	if b.is("debug.enabled") {
		b.setSpawner("debug", true, "debug.enabled")
	}
}

// metadataBlock appends the chart's own init container after the user's.
func (b *builder) metadataBlock() {
	at := "singleuser.cloudMetadata"
	if _, has := b.get(at); !has {
		b.refusef(at, "must not be null: the hub fails to start without it")
		return
	}
	if !b.is(at + ".blockWithIptables") {
		return
	}
	if b.is("singleuser.networkPolicy.enabled") && b.is("singleuser.networkPolicy.egressAllowRules.cloudMetadataServer") {
		b.refusef(at+".blockWithIptables", "contradicts singleuser.networkPolicy.egressAllowRules.cloudMetadataServer: true, and Helm refuses both together")
	}
	block := object(
		"name", blockContainer,
		"image", b.text("singleuser.networkTools.image.name")+":"+b.text("singleuser.networkTools.image.tag"),
		"command", b.chart.closing(b.text(at+".ip")),
		"securityContext", object("privileged", true, "runAsUser", int64(0), "capabilities", object("add", []any{"NET_ADMIN"})),
	)
	if resources, _ := b.get("singleuser.networkTools.resources"); len(asObject(resources)) > 0 {
		block = block.With("resources", resources)
	}
	own := b.list("singleuser.initContainers")
	all := append(append([]any{}, own...), object("$model", "V1Container", "value", block))
	b.set("init_containers", all, "singleuser.initContainers")
	b.aboutBlock(at, len(own))
}

// blockContainer is what the chart calls its init container.
const blockContainer = "block-cloud-metadata"

func (b *builder) aboutBlock(at string, own int) {
	f := kubespawner.Finding{Kind: kubespawner.Note, Path: at, Why: "the block is a privileged init container, last in line",
		Do: "keep it, or drop it and rely on the chart's NetworkPolicy, which leaves that address out already; a cluster's enforced block, first in line, holds whatever a profile says"}
	if own > 0 {
		f.Kind, f.Why = kubespawner.Warning, "the init containers of singleuser.initContainers run before the block and can reach the cloud's metadata"
	}
	b.findings = append(b.findings, f)
}
