package z2jh

import (
	"fmt"
	"strings"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// chartName is the chart's own, and the default of what is called after it.
const chartName = "jupyterhub"

// fullname is the prefix of the chart's object names; it may be empty.
func (b *builder) fullname() string {
	if v, has := b.get("fullnameOverride"); has && v != nil {
		s, _ := v.(string)
		return s
	}
	name := b.text("nameOverride")
	if name == "" {
		name = chartName
	}
	if strings.Contains(b.opts.Release, name) {
		return b.opts.Release
	}
	return dashed(b.opts.Release) + name
}

func dashed(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix + "-"
}

// inNamespace is the name of an object that is alone in its namespace.
func (b *builder) inNamespace(short string) string { return dashed(b.fullname()) + short }

// userScheduler and priorityClass are names of the whole cluster: without a fullname they begin with the release's. Where that
// isn't known they stay the chart's short names.
func (b *builder) userScheduler() string {
	prefix := b.fullname()
	if prefix == "" {
		prefix = b.opts.Release
	}
	return dashed(prefix) + "user-scheduler"
}

func (b *builder) priorityClass() string {
	switch f := b.fullname(); {
	case f != "":
		return f
	case b.opts.Release != "":
		return b.opts.Release + "-default-priority"
	}
	return "priority"
}

// unknown warns of what depends on facts that no values file holds.
func (b *builder) unknown() {
	if b.opts.Release == "" {
		what := "the label release, by which the chart's NetworkPolicies select user pods"
		if _, has := b.kube["scheduler_name"]; has && b.fullname() == "" {
			what += ", and the names of scheduler and priority class"
		}
		b.find(kubespawner.Warning, "release", "the Helm release's name isn't known here, and with it "+what, "import with --release NAME")
	}
	if strings.Contains(fmt.Sprint(b.kube["image"], b.kube["init_containers"]), ":set-by-chartpress") {
		b.find(kubespawner.Warning, "chart version", "the tags of the chart's own images depend on its version, which isn't known here",
			"import with --chart-version VERSION, or set the images in the values")
	}
}

// serviceAccount is the hub's.
func (b *builder) serviceAccount() string {
	name := b.text("hub.serviceAccount.name")
	switch {
	case name != "":
		return name
	case b.is("hub.serviceAccount.create"):
		return b.inNamespace("hub")
	}
	return "default"
}

// identity sets the labels that say which installation a pod belongs to; NetworkPolicies select by them.
func (b *builder) identity() {
	name := chartName
	if v, has := b.get("nameOverride"); has && v != nil {
		name, _ = v.(string)
	}
	labels := object("app", name)
	if b.chart.escapes() {
		labels = labels.With("heritage", chartName)
	} else {
		labels = labels.With("app.kubernetes.io/name", name)
	}
	if r := b.opts.Release; r != "" {
		labels = labels.With("release", r)
		if !b.chart.escapes() {
			labels = labels.With("app.kubernetes.io/instance", r)
		}
	}
	if v := b.chart.version; v != "" {
		version := chartName + "-" + strings.ReplaceAll(v, "+", "_")
		labels = labels.With("chart", version)
		if !b.chart.escapes() {
			labels = labels.With("helm.sh/chart", version)
		}
		b.find(kubespawner.Note, "commonLabels", "the chart's version is a label of every pod and claim", "import again after an upgrade, or delete chart and helm.sh/chart from the policy: nothing selects by them")
	}
	if !b.chart.escapes() {
		labels = labels.With("app.kubernetes.io/managed-by", "kubespawner")
	}
	b.set("common_labels", labels, "commonLabels")
	b.set("namespace", b.namespace(), "namespace")
	if b.chart.escapes() {
		b.set("slug_scheme", "escape", "slugScheme")
		b.set("pod_name_template", "jupyter-{username}--{servername}", "singleuser.podNameTemplate")
	}
}
