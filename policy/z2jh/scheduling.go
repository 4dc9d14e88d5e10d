package z2jh

import "github.com/slipway-hub/slipway/policy/kubespawner"

func (b *builder) scheduling() {
	if b.is("scheduling.userScheduler.enabled") {
		b.set("scheduler_name", b.userScheduler(), "scheduling.userScheduler.enabled")
	}
	if b.is("scheduling.podPriority.enabled") {
		b.set("priority_class_name", b.priorityClass(), "scheduling.podPriority.enabled")
	}
	b.nodePurpose()
	if v, has := b.get("singleuser.extraTolerations"); !has || v == nil {
		b.refusef("singleuser.extraTolerations", "must not be null: Helm fails to render the chart with it; write [] for none")
		return
	}
	tolerations := append(append([]any{}, b.list("scheduling.userPods.tolerations")...), b.list("singleuser.extraTolerations")...)
	if len(tolerations) > 0 {
		b.set("tolerations", tolerations, "singleuser.extraTolerations")
	}
}

// nodePurpose sends users to the nodes that are labelled for them.
func (b *builder) nodePurpose() {
	const at = "scheduling.userPods.nodeAffinity.matchNodePurpose"
	term := object("matchExpressions", []any{object("key", nodePurposeLabel, "operator", "In", "values", []any{"user"})})
	switch b.text(at) {
	case "prefer":
		b.add("node_affinity_preferred", "singleuser.extraNodeAffinity.preferred", object("weight", int64(100), "preference", term))
	case "require":
		if len(b.list("singleuser.extraNodeAffinity.required")) > 0 {
			b.find(kubespawner.Warning, at, "Kubernetes joins required terms by OR: a node of either kind will do, not only one that fits both",
				"write both expressions into one term if both are meant")
		}
		b.add("node_affinity_required", "singleuser.extraNodeAffinity.required", term)
	}
}

const nodePurposeLabel = "hub.jupyter.org/node-purpose"

func (b *builder) add(trait, path string, item any) {
	b.set(trait, append(append([]any{}, b.list(path)...), item), path)
}
