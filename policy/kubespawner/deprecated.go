package kubespawner

// renames are the names of 0.5.1 to 0.10 that KubeSpawner still takes.
var renames = map[string]string{
	"image_spec":                        "image",
	"singleuser_image_spec":             "image",
	"singleuser_image_pull_policy":      "image_pull_policy",
	"singleuser_image_pull_secrets":     "image_pull_secrets",
	"singleuser_uid":                    "uid",
	"singleuser_fs_gid":                 "fs_gid",
	"singleuser_supplemental_gids":      "supplemental_gids",
	"singleuser_privileged":             "privileged",
	"singleuser_extra_labels":           "extra_labels",
	"singleuser_extra_annotations":      "extra_annotations",
	"singleuser_node_selector":          "node_selector",
	"singleuser_working_dir":            "working_dir",
	"singleuser_service_account":        "service_account",
	"singleuser_init_containers":        "init_containers",
	"singleuser_extra_containers":       "extra_containers",
	"singleuser_extra_container_config": "extra_container_config",
	"singleuser_extra_pod_config":       "extra_pod_config",
	"user_storage_pvc_ensure":           "storage_pvc_ensure",
	"user_storage_capacity":             "storage_capacity",
	"user_storage_class":                "storage_class",
	"user_storage_access_modes":         "storage_access_modes",
	"user_storage_extra_labels":         "storage_extra_labels",
}

// lostNames are old names that a missing comma in KubeSpawner's list of renames has made meaningless.
var lostNames = map[string]string{
	"singleuser_allow_privilege_escalation": "allow_privilege_escalation",
	"singleuser_lifecycle_hooks":            "lifecycle_hooks",
}

// IsOldName says whether KubeSpawner takes a trait under this name only for the sake of old configurations.
func IsOldName(name string) bool {
	_, renamed := renames[name]
	return renamed
}

// today is a trait's present name.
func today(name string) string {
	if now, renamed := renames[name]; renamed {
		return now
	}
	return name
}

// place puts a trait under its present name, and reports what upstream makes of the old one.
func (c *converter) place(out, in map[string]any, name string, v any) {
	at := c.origin(name)
	if meant, lost := lostNames[name]; lost {
		c.find(Warning, at, "KubeSpawner doesn't take this old name any more (a defect of its list of names), so the setting has no effect today",
			"it is left out; write "+meant+" if you want what it says")
		return
	}
	now, renamed := renames[name]
	if !renamed {
		out[name] = v
		return
	}
	if _, both := in[now]; both {
		c.find(Warning, at, "is an old name of "+now+", which is set too and wins in KubeSpawner", "it is left out")
		return
	}
	if _, both := out[now]; both {
		// image_spec comes before singleuser_image_spec, here as upstream.
		c.find(Warning, at, "is an old name of "+now+", which is set under another old name too", "it is left out")
		return
	}
	out[now] = v
	c.old[now] = at
	if name == "singleuser_image_spec" {
		c.find(Warning, at, "KubeSpawner ignores it for the first server after a hub's start and honours it for all later ones (a defect)",
			"the policy has it as image, for all servers")
		return
	}
	c.find(Note, at, "is an old name of "+now, "")
}
