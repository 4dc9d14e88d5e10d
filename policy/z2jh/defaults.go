package z2jh

import (
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// chart is what differs between the versions of the chart, as far as user pods are concerned.
type chart struct {
	// version as given; "" where nobody told.
	version      string
	major, minor int
}

// newest is the version whose rules hold where nobody told: main after 4.4.0.
var newest = chart{major: 4, minor: 4}

func chartOf(version string) (chart, bool) {
	if version == "" {
		return newest, true
	}
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return chart{}, false
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return chart{version: strings.TrimPrefix(version, "v"), major: major, minor: minor}, err == nil && err2 == nil && major >= 1
}

// escapes: up to 3.x, with KubeSpawner 6 and older, names are made by the escape scheme.
func (c chart) escapes() bool { return c.major < 4 }

// maps: from 4.3 volumes and mounts are maps, sorted by key.
func (c chart) maps() bool { return c.major > 4 || c.major == 4 && c.minor >= 3 }

// closing is the command that keeps pods from the cloud's metadata: before 3.0 it closed every port, and from then on port 80 alone.
func (c chart) closing(ip string) []any {
	if c.major < 3 {
		return []any{"iptables", "-A", "OUTPUT", "-d", ip, "-j", "DROP"}
	}
	return []any{"iptables", "--append", "OUTPUT", "--protocol", "tcp", "--destination", ip, "--destination-port", "80", "--jump", "DROP"}
}

// tag of the chart's own images; what main has where no version was told.
func (c chart) tag() string {
	if c.version == "" {
		return "set-by-chartpress"
	}
	return c.version
}

func (c chart) repository() string {
	if c.major < 3 || c.major == 3 && c.minor < 2 {
		return "jupyterhub/"
	}
	return "quay.io/jupyterhub/"
}

// object makes a map of keys and values by turns.
func object(pairs ...any) Object {
	o := Object{}
	for pair := range slices.Chunk(pairs, 2) {
		o = append(o, kubespawner.Member{Key: pair[0].(string), Value: pair[1]})
	}
	return o
}

// defaults are the chart's own values, those that user pods depend on.
func (c chart) defaults() Object {
	return object(
		"fullnameOverride", "", "nameOverride", nil, "custom", Object{},
		"imagePullSecret", object("create", false, "automaticReferenceInjection", true, "registry", nil, "username", nil, "password", nil, "email", nil),
		"imagePullSecrets", []any{},
		"hub", object(
			"config", object("JupyterHub", object("admin_access", true, "authenticator_class", "dummy")),
			"baseUrl", "/", "consecutiveFailureLimit", int64(5), "extraConfig", Object{}, "extraFiles", Object{}, "existingSecret", nil,
			"serviceAccount", object("create", true, "name", nil, "annotations", Object{}),
		),
		"singleuser", c.singleuser(),
		"scheduling", object(
			"userScheduler", object("enabled", true),
			"podPriority", object("enabled", false),
			"userPods", object("tolerations", []any{dedicated("hub.jupyter.org/dedicated"), dedicated("hub.jupyter.org_dedicated")},
				"nodeAffinity", object("matchNodePurpose", "prefer")),
		),
		"prePuller", object("hook", object("enabled", true), "continuous", object("enabled", true)),
		"debug", object("enabled", false),
	)
}

func dedicated(key string) Object {
	return object("key", key, "operator", "Equal", "value", "user", "effect", "NoSchedule")
}

func (c chart) singleuser() Object {
	terms := func() Object { return object("required", []any{}, "preferred", []any{}) }
	image := func(name string) Object {
		return object("name", c.repository()+name, "tag", c.tag(), "pullPolicy", nil, "pullSecrets", []any{})
	}
	return object(
		"podNameTemplate", nil, "extraTolerations", []any{}, "nodeSelector", Object{},
		"extraNodeAffinity", terms(), "extraPodAffinity", terms(), "extraPodAntiAffinity", terms(),
		"networkTools", object("image", image("k8s-network-tools"), "resources", Object{}),
		"cloudMetadata", object("blockWithIptables", true, "ip", "169.254.169.254"),
		"networkPolicy", object("enabled", true, "egressAllowRules", object("cloudMetadataServer", false)),
		"events", true, "extraAnnotations", Object{}, "extraLabels", object(networkAccess, "true"), "extraFiles", Object{},
		"extraEnv", Object{}, "lifecycleHooks", Object{}, "initContainers", []any{}, "extraContainers", []any{},
		"allowPrivilegeEscalation", false, "uid", int64(1000), "fsGid", int64(100), "serviceAccountName", nil,
		"storage", object(
			"type", "dynamic", "extraLabels", Object{}, "extraVolumes", nil, "extraVolumeMounts", nil,
			"static", object("pvcName", nil, "subPath", "{username}"), "capacity", "10Gi", "homeMountPath", "/home/jovyan",
			"dynamic", c.dynamic(),
		),
		"image", image("k8s-singleuser-sample"), "startTimeout", int64(300),
		"cpu", object("limit", nil, "guarantee", nil), "memory", object("limit", nil, "guarantee", "1G"),
		"extraResource", object("limits", Object{}, "guarantees", Object{}), "cmd", "jupyterhub-singleuser", "defaultUrl", nil,
		"extraPodConfig", Object{}, "profileList", []any{},
	)
}

func (c chart) dynamic() Object {
	o := object("storageClass", nil, "pvcNameTemplate", nil, "volumeNameTemplate", "volume-{user_server}", "storageAccessModes", []any{"ReadWriteOnce"})
	if c.escapes() {
		return o.With("pvcNameTemplate", "claim-{username}{servername}").With("volumeNameTemplate", "volume-{username}{servername}")
	}
	return o.With("subPath", nil)
}
