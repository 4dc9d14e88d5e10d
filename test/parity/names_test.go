package parity

import (
	"strings"
	"testing"
)

// Every name, in every place where KubeSpawner fills one in. The slugs are people's claims and folders: one that
// changes is a home that is gone.
func TestEveryNameEverywhere(t *testing.T) {
	oracle := ForTest(t)
	var placeholders []string
	for _, p := range pieces {
		if strings.HasPrefix(p, "{") && !strings.HasPrefix(p, "{{") {
			placeholders = append(placeholders, p)
		}
	}
	all := strings.Join(placeholders, "|")
	var figures tally
	for _, scheme := range []string{"safe", "escape"} {
		settings := map[string]any{
			"slug_scheme": scheme, "storage_pvc_ensure": true, "storage_capacity": "1Gi", "pod_connect_ip": "x-{user_server}.{namespace}",
			// The escape scheme alone gives names that no pod can have.
			"pod_name_template":    "jupyter-{safe_user_server}",
			"pvc_name_template":    "claim-{safe_username}--{safe_servername}",
			"environment":          map[string]any{"ALL": all},
			"extra_annotations":    map[string]any{"all": all, "tail": "{servername}"},
			"volumes":              []any{map[string]any{"name": "home", "persistentVolumeClaim": map[string]any{"claimName": "{pvc_name}"}}},
			"volume_mounts":        []any{map[string]any{"name": "home", "mountPath": "/home", "subPath": all}},
			"extra_pod_config":     map[string]any{"hostname": "{user_server}"},
			"service_account":      "robot-{username}",
			"working_dir":          "/home/{username}/{servername}",
			"storage_extra_labels": map[string]any{"user": "{username}"},
		}
		for _, user := range users {
			for _, server := range serverNames {
				c := Case{User: user, Server: server, Prefix: "/user/x/", Settings: settings}
				lines := try(t, oracle, c, "")
				figures.count(reportServer(t, RealServer{User: user, Server: server}, lines))
			}
		}
	}
	figures.print(t, "names")
}
