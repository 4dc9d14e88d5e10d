package kubespawner

import corev1 "k8s.io/api/core/v1"

// trait is one setting of KubeSpawner that has a place in a policy.
type trait struct {
	// name in Python, setting in the policy.
	name, setting string
	// read turns a whole value into the setting's. It gives nil where the value says that there is none.
	read func(c *converter, t *trait, v any, at string) any
	// patch merges a map into a weaker layer's map, as a profile's override does; nil where a map can't be.
	patch func(c *converter, t *trait, v Object, at string, b *block) any
	// list: the value may be a list as well as a map, so that what a map does depends on what is there.
	list bool
	// nullable: Python's None is a value, and means none.
	nullable bool
	// emptyIsNone: "" is as good as none.
	emptyIsNone bool
	// builtIn: without a value there is one all the same, so that none has to be said with unset.
	builtIn bool
	// expand names the placeholders that KubeSpawner expands in it; nil: none.
	expand []string
	// item is what its items, or itself, are in Kubernetes; nil for plain values.
	item any
	// needs are the fields of an item without which the Python client refuses it.
	needs []string
}

// placeholders are what KubeSpawner expands.
var placeholders = []string{
	"userid", "username", "servername", "user_server", "unescaped_username", "unescaped_servername", "safe_username",
	"safe_servername", "safe_user_server", "escaped_username", "escaped_servername", "escaped_user_server", "hubnamespace",
	"namespace", "pod_name", "pvc_name",
}

// The traits, in the order of KubeSpawner's reference.
var traits = []*trait{
	{name: "image", setting: "image", read: readText},
	{name: "image_pull_policy", setting: "imagePullPolicy", read: readPullPolicy, nullable: true, emptyIsNone: true},
	{name: "image_pull_secrets", setting: "imagePullSecrets", read: readPullSecrets},
	{name: "cmd", setting: "cmd", read: readCommand, nullable: true},
	{name: "args", setting: "args", read: readTexts},
	{name: "ip", setting: "ip", read: readIP},
	{name: "port", setting: "port", read: readPort, builtIn: true},
	{name: "working_dir", setting: "workingDir", read: readText, nullable: true, emptyIsNone: true, expand: placeholders},
	{name: "default_url", setting: "defaultUrl", read: readHubTemplate, emptyIsNone: true, expand: hubPlaceholders},
	{name: "notebook_dir", setting: "notebookDir", read: readHubTemplate, emptyIsNone: true, expand: hubPlaceholders},
	{name: "debug", setting: "debug", read: readBool},
	{name: "disable_user_config", setting: "disableUserConfig", read: readBool},
	{name: "environment", setting: "environment", read: readEnvironment, patch: patchEnvironment, expand: placeholders},

	{name: "mem_limit", setting: "memLimit", read: readBytes, nullable: true},
	{name: "mem_guarantee", setting: "memGuarantee", read: readBytes, nullable: true},
	{name: "cpu_limit", setting: "cpuLimit", read: readCPU, nullable: true},
	{name: "cpu_guarantee", setting: "cpuGuarantee", read: readCPU, nullable: true},
	{name: "extra_resource_limits", setting: "extraResourceLimits", read: readQuantities, patch: patchQuantities},
	{name: "extra_resource_guarantees", setting: "extraResourceGuarantees", read: readQuantities, patch: patchQuantities},

	{name: "uid", setting: "uid", read: readID, nullable: true},
	{name: "gid", setting: "gid", read: readID, nullable: true},
	{name: "fs_gid", setting: "fsGid", read: readID, nullable: true},
	{name: "supplemental_gids", setting: "supplementalGids", read: readIDs},
	{name: "privileged", setting: "privileged", read: readBool},
	{name: "allow_privilege_escalation", setting: "allowPrivilegeEscalation", read: readBool, nullable: true, builtIn: true},
	{name: "container_security_context", setting: "containerSecurityContext", read: readSecurityContext, patch: patchFragment, item: corev1.SecurityContext{}},
	{name: "pod_security_context", setting: "podSecurityContext", read: readSecurityContext, patch: patchFragment, item: corev1.PodSecurityContext{}},
	{name: "service_account", setting: "serviceAccount", read: readText, nullable: true, expand: placeholders},
	{name: "automount_service_account_token", setting: "automountServiceAccountToken", read: readBool, nullable: true},

	{name: "volumes", setting: "volumes", read: readItems, patch: patchItems, list: true, expand: placeholders, item: corev1.Volume{}, needs: []string{"name"}},
	{name: "volume_mounts", setting: "volumeMounts", read: readItems, patch: patchItems, list: true, expand: placeholders, item: corev1.VolumeMount{}, needs: []string{"name", "mountPath"}},
	{name: "init_containers", setting: "initContainers", read: readItems, patch: patchItems, list: true, expand: placeholders, item: corev1.Container{}, needs: []string{"name"}},
	{name: "extra_containers", setting: "extraContainers", read: readItems, patch: patchItems, list: true, expand: placeholders, item: corev1.Container{}, needs: []string{"name"}},
	{name: "lifecycle_hooks", setting: "lifecycleHooks", read: readFragment, patch: patchFragment, item: corev1.Lifecycle{}},
	{name: "extra_container_config", setting: "extraContainerConfig", read: readFragment, patch: patchFragment, item: corev1.Container{}},
	{name: "extra_pod_config", setting: "extraPodConfig", read: readFragment, patch: patchFragment, expand: placeholders, item: corev1.PodSpec{}},

	{name: "node_selector", setting: "nodeSelector", read: readLabels, patch: patchLabels},
	{name: "tolerations", setting: "tolerations", read: readItems, patch: patchItems, list: true, item: corev1.Toleration{}},
	{name: "node_affinity_preferred", setting: "nodeAffinityPreferred", read: readItems, patch: patchItems, list: true, item: corev1.PreferredSchedulingTerm{}, needs: []string{"weight", "preference"}},
	{name: "node_affinity_required", setting: "nodeAffinityRequired", read: readItems, patch: patchItems, list: true, item: corev1.NodeSelectorTerm{}},
	{name: "pod_affinity_preferred", setting: "podAffinityPreferred", read: readItems, patch: patchItems, list: true, item: corev1.WeightedPodAffinityTerm{}, needs: []string{"weight", "podAffinityTerm"}},
	{name: "pod_affinity_required", setting: "podAffinityRequired", read: readItems, patch: patchItems, list: true, item: corev1.PodAffinityTerm{}, needs: []string{"topologyKey"}},
	{name: "pod_anti_affinity_preferred", setting: "podAntiAffinityPreferred", read: readItems, patch: patchItems, list: true, item: corev1.WeightedPodAffinityTerm{}, needs: []string{"weight", "podAffinityTerm"}},
	{name: "pod_anti_affinity_required", setting: "podAntiAffinityRequired", read: readItems, patch: patchItems, list: true, item: corev1.PodAffinityTerm{}, needs: []string{"topologyKey"}},
	{name: "scheduler_name", setting: "schedulerName", read: readText, nullable: true, emptyIsNone: true},
	{name: "priority_class_name", setting: "priorityClassName", read: readText, emptyIsNone: true},

	{name: "storage_pvc_ensure", setting: "storagePvcEnsure", read: readBool},
	{name: "storage_capacity", setting: "storageCapacity", read: readQuantity, nullable: true},
	{name: "storage_class", setting: "storageClass", read: readText, nullable: true},
	{name: "storage_access_modes", setting: "storageAccessModes", read: readTexts, builtIn: true},
	{name: "storage_selector", setting: "storageSelector", read: readSelector, patch: patchFragment, expand: placeholders},
	{name: "storage_extra_labels", setting: "storageExtraLabels", read: readLabels, patch: patchLabels, expand: placeholders},
	{name: "storage_extra_annotations", setting: "storageExtraAnnotations", read: readLabels, patch: patchLabels, expand: placeholders},

	{name: "slug_scheme", setting: "slugScheme", read: readSlugScheme},
	{name: "pod_name_template", setting: "podNameTemplate", read: readText, expand: placeholders},
	{name: "pvc_name_template", setting: "pvcNameTemplate", read: readText, expand: placeholders},
	{name: "secret_name_template", setting: "secretNameTemplate", read: readText, expand: placeholders},
	{name: "dns_name_template", setting: "dnsNameTemplate", read: readText, expand: []string{"name", "namespace"}},
	{name: "pod_connect_ip", setting: "podConnectIp", read: readText, emptyIsNone: true, expand: placeholders},
	{name: "handle_legacy_names", setting: "handleLegacyNames", read: readBool},
	{name: "remember_pvc_name", setting: "rememberPvcName", read: readBool},
	{name: "services_enabled", setting: "servicesEnabled", read: readBool},
	{name: "internal_ssl", setting: "internalSsl", read: readBool},
	{name: "secret_mount_path", setting: "secretMountPath", read: readText},
	{name: "enable_user_namespaces", setting: "enableUserNamespaces", read: readBool},
	{name: "user_namespace_template", setting: "userNamespaceTemplate", read: readText, expand: placeholders},
	{name: "user_namespace_labels", setting: "userNamespaceLabels", read: readLabels, patch: patchLabels, expand: placeholders},
	{name: "user_namespace_annotations", setting: "userNamespaceAnnotations", read: readLabels, patch: patchLabels, expand: placeholders},

	{name: "component_label", setting: "componentLabel", read: readText},
	{name: "common_labels", setting: "commonLabels", read: readLabels, patch: patchLabels, builtIn: true},
	{name: "extra_labels", setting: "extraLabels", read: readLabels, patch: patchLabels, expand: placeholders},
	{name: "extra_annotations", setting: "extraAnnotations", read: readLabels, patch: patchLabels, expand: placeholders},
}

// hubPlaceholders are those of JupyterHub's own templates.
var hubPlaceholders = []string{"username", "base_url"}

var traitByName = func() map[string]*trait {
	byName := map[string]*trait{}
	for _, t := range traits {
		byName[t.name] = t
	}
	return byName
}()
