package kubespawner

import (
	"maps"
	"reflect"
	"slices"

	"github.com/slipway-hub/slipway/policy/internal/spelling"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// outside is a trait that says nothing about a pod, or says it in Python.
type outside struct {
	kind Kind
	// standard is KubeSpawner's default: what is set to it needs no word.
	standard any
	// is checks the type that traitlets asks for; nil takes any.
	is        func(v any) bool
	want      string
	why, what string
	// draft is a piece of policy to begin with.
	draft string
}

const (
	hubsOwn  = "is the hub's own business, not the pod's"
	keepIt   = "leave it in the hub's configuration"
	ofLaunch = "is about how the hub talks to Kubernetes, which the launcher does now"
	dropIt   = "nothing to do; it has no effect any more"
	python   = "is Python that runs in the hub, which a cluster can't run"
)

var (
	isInt  = func(v any) bool { _, ok := integer(v); return ok }
	isBool = func(v any) bool { _, ok := v.(bool); return ok || v == int64(0) || v == int64(1) }
	isText = func(v any) bool { _, ok := v.(string); return ok }
	isReal = func(v any) bool { _, isFloat := v.(float64); return isFloat || isInt(v) }
	isList = func(v any) bool { _, ok := v.([]any); return ok || isText(v) }
)

func wholeNumber(standard int64, why, what string) outside {
	return outside{kind: Note, standard: standard, is: isInt, want: "a whole number", why: why, what: what}
}

func textOf(why, what string) outside {
	return outside{kind: Note, standard: "", is: isText, want: "text", why: why, what: what}
}

func trueOrFalse(standard any, why, what string) outside {
	return outside{kind: Note, standard: standard, is: isBool, want: "true or false", why: why, what: what}
}

func hook(what, draft string) outside {
	return outside{kind: Unmapped, why: python, what: what, draft: draft}
}

// elsewhere are the traits without a place in a policy.
var elsewhere = map[string]outside{
	"start_timeout":                          wholeNumber(60, hubsOwn, keepIt),
	"http_timeout":                           wholeNumber(30, hubsOwn, keepIt),
	"poll_interval":                          wholeNumber(30, hubsOwn, keepIt),
	"poll_jitter":                            {kind: Note, standard: 0.1, is: isReal, want: "a number", why: hubsOwn, what: keepIt},
	"consecutive_failure_limit":              wholeNumber(0, "up to JupyterHub 5 a denied server counts as a failure, and so many in a row, over all users, restart the hub", "set it to 0 in the hub's configuration, or use JupyterHub 6"),
	"events_enabled":                         trueOrFalse(true, hubsOwn, keepIt),
	"delete_grace_period":                    wholeNumber(1, hubsOwn, keepIt),
	"delete_stopped_pods":                    trueOrFalse(true, hubsOwn, keepIt),
	"slow_spawn_message":                     {kind: Note, is: isText, want: "text", why: hubsOwn, what: keepIt},
	"slow_spawn_message_threshold":           wholeNumber(60, hubsOwn, keepIt),
	"slow_spawn_message_frequency":           wholeNumber(5, hubsOwn, keepIt),
	"profile_form_template":                  textOf(hubsOwn, keepIt),
	"hub_connect_ip":                         textOf(hubsOwn, "set JupyterHub.hub_connect_ip: this old name only copies to it"),
	"hub_connect_port":                       wholeNumber(0, hubsOwn, "set the port in JupyterHub.hub_connect_url: this old name only copies to it"),
	"hub_connect_url":                        {kind: Note, why: hubsOwn, what: keepIt, is: isText, want: "text"},
	"k8s_api_request_timeout":                wholeNumber(3, ofLaunch, dropIt),
	"k8s_api_request_retry_timeout":          wholeNumber(30, ofLaunch, dropIt),
	"k8s_api_host":                           textOf(ofLaunch, "give the launcher a kubeconfig"),
	"k8s_api_ssl_ca_cert":                    textOf(ofLaunch, "give the launcher a kubeconfig"),
	"k8s_api_verify_ssl":                     trueOrFalse(nil, ofLaunch, "give the launcher a kubeconfig"),
	"k8s_api_threadpool_workers":             wholeNumber(0, "has had no effect since KubeSpawner 3", dropIt),
	"options_form":                           {kind: Note, why: hubsOwn, what: keepIt},
	"options_from_form":                      {kind: Note, why: hubsOwn, what: keepIt},
	"oauth_roles":                            {kind: Note, why: hubsOwn, what: keepIt},
	"oauth_client_allowed_scopes":            {kind: Note, why: hubsOwn, what: keepIt},
	"server_token_scopes":                    {kind: Note, why: hubsOwn, what: keepIt},
	"ssl_alt_names":                          {kind: Note, why: hubsOwn, what: keepIt},
	"ssl_alt_names_include_local":            trueOrFalse(false, hubsOwn, keepIt),
	"additional_profile_form_template_paths": {kind: Note, standard: []any{}, is: isList, want: "a list of folders", why: hubsOwn, what: keepIt},
	"modify_pod_hook": hook("write what it does to the pod as a mutation",
		"mutations:\n- patchType: JSONPatch\n  expression: |\n    [JSONPatch{op: \"add\", path: \"/spec/terminationGracePeriodSeconds\", value: 30}]"),
	"after_pod_created_hook": hook("run it from the hub, or as a controller that watches pods with the label slipway.dev/hub", ""),
	"get_pod_url":            hook("see podConnectIp and servicesEnabled", ""),
	"pre_spawn_hook":         hook("keep it in the hub for what isn't about the pod; what it sets on the spawner belongs into the policy", ""),
	"post_stop_hook":         hook("keep it in the hub", ""),
	"auth_state_hook":        hook("keep it in the hub; environment that it sets reaches the pod if hubEnv lists the names", ""),
	"progress_ready_hook":    hook("keep it in the hub", ""),
	"apply_user_options":     hook("write what it sets as profiles and options", ""),
	"group_overrides": {kind: Unmapped, standard: Object{}, why: "gives groups settings of their own",
		what:  "write a SpawnPolicy for each, with the groups, a higher priority, and the override as defaults",
		draft: "spec:\n  groups: [NAME]\n  priority: 10\n  defaults: {}"},
}

// Elsewhere says of a trait without a place in a policy why, and what to do with it instead. It is false for the others.
func Elsewhere(trait string) (why, instead string, is bool) {
	o, is := elsewhere[trait]
	return o.why, o.what, is
}

// elsewhere reports what has no place in a policy, and what KubeSpawner doesn't know.
func (c *converter) elsewhere(given map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		_, known := traitByName[name]
		if known || slices.Contains([]string{"profile_list", "env_keep", "namespace", "delete_pvc"}, name) {
			continue
		}
		at, v := c.origin(name), given[name]
		o, has := elsewhere[name]
		if !has {
			c.find(Warning, at, "KubeSpawner has no such trait: it logs a warning and goes on", "it is left out"+didYouMean(name))
			continue
		}
		c.report(o, v, at)
	}
}

func (c *converter) report(o outside, v any, at string) {
	name, isFunction := callable(v)
	switch {
	case v == nil, o.standard != nil && reflect.DeepEqual(o.standard, v):
		return
	case isFunction:
		f := Finding{Kind: Unmapped, Path: at, Why: "is the Python function " + name + where(v.(Object)) + ", which a cluster can't run", Do: o.what, Draft: o.draft}
		if written := cel(v.(Object)); written != "" && o.draft != "" {
			f.Do, f.Draft = "check this draft of a mutation", "mutations:\n- patchType: JSONPatch\n  expression: |\n    "+written
		}
		c.add(f)
		return
	case o.is != nil && !o.is(v):
		c.wrongType(at, o.want, v)
		return
	}
	c.add(Finding{Kind: o.kind, Path: at, Why: o.why, Do: o.what, Draft: o.draft})
}

const (
	deletesClaims  = "KubeSpawner deletes a user's claim together with the user; the policy keeps it"
	deleteByAsking = "to have them deleted as before, set deleteClaims: true in the policy and launcher.deleteClaims in the chart's values"
)

// namespace and delete_pvc say something about the policy itself.
func (c *converter) about(given map[string]any, policy *v1alpha1.SpawnPolicy) {
	if v, has := given["namespace"]; has {
		name, ok := v.(string)
		switch {
		case !ok:
			c.wrongType(c.origin("namespace"), "text", v)
		case policy.Namespace == "":
			policy.Namespace = name
		case name != policy.Namespace && name != "":
			c.find(Warning, c.origin("namespace"), "servers live in the namespace "+name+", and the policy is for "+policy.Namespace,
				"import with --namespace "+name+" if they are to stay there")
		}
	}
	v, has := given["delete_pvc"]
	switch {
	case has && !isBool(v):
		c.wrongType(c.origin("delete_pvc"), "true or false", v)
	case has && (v == true || v == int64(1)):
		policy.Spec.DeleteClaims = new(true)
		c.find(Note, c.origin("delete_pvc"), "the policy lets a launcher have claims deleted together with their users, as KubeSpawner does",
			"set launcher.deleteClaims in the chart's values, without which no launcher may ask for it")
	case !has && given["storage_pvc_ensure"] == true:
		c.find(Note, c.origin("delete_pvc"), deletesClaims, deleteByAsking)
	}
}

// fixedBefore are what KubeSpawner has computed before a profile is applied.
var fixedBefore = []string{"pod_name_template", "pvc_name_template", "secret_name_template", "dns_name_template", "user_namespace_template"}

// attribute finds the trait that a profile's override means. It is false where there is none to be written, which is reported.
func (c *converter) attribute(name string, v any, at string) (string, bool) {
	now := today(name)
	_, known := traitByName[now]
	_, isMap := v.(Object)
	switch {
	case slices.Contains(fixedBefore, now):
		c.find(Warning, at, "KubeSpawner has made the names before it applies a profile, so that this has no effect", "it is left out")
	case now == "slug_scheme", now == "enable_user_namespaces":
		c.find(Unmapped, at, "would change names that exist before a profile is chosen", "set it in the policy's defaults, for every profile")
	case known:
		return now, true
	case now == "pvc_name", now == "secret_name":
		c.literalName(now, v, at)
	case now == "pod_name", now == "dns_name", now == "namespace":
		c.find(Unmapped, at, "a profile can't move a server to another "+now+" in a policy", "write podNameTemplate or the namespace into a policy for these users")
	case lostNames[name] != "":
		c.find(Warning, at, "KubeSpawner doesn't take this old name any more, so that it has no effect", "it is left out; write "+lostNames[name]+" if you want what it says")
	case elsewhere[now].why != "":
		c.find(Unmapped, at, elsewhere[now].why+", and a policy can't set it for one profile", elsewhere[now].what)
	case now == "profile_list", now == "env_keep", now == "delete_pvc":
		c.find(Unmapped, at, "can't be set for one profile", "set it for all")
	case isMap:
		c.refusef(at, "KubeSpawner has no such trait, and fails to start a server with it%s", didYouMean(name))
	default:
		c.find(Warning, at, "KubeSpawner has no such trait and does nothing with it", "it is left out"+didYouMean(name))
	}
	return now, false
}

// literalName: KubeSpawner takes it as it stands, and the policy as a template.
func (c *converter) literalName(name string, v any, at string) {
	s, ok := v.(string)
	if !ok {
		c.wrongType(at, "text", v)
		return
	}
	setting := map[string]string{"pvc_name": "pvcNameTemplate", "secret_name": "secretNameTemplate"}[name]
	c.block.values[setting] = doubledBraces(s)
}

// withoutEffect names what is said in vain, or doesn't do what it seems to.
func (c *converter) withoutEffect(given map[string]any) {
	has := func(name string) bool { return !falsy(given[name]) }
	escalation, named := given["allow_privilege_escalation"]
	switch {
	case has("args") && !has("cmd"):
		c.find(Warning, c.origin("args"), "KubeSpawner drops args where there is no cmd", "set cmd too: the image's own command can't be prefixed to args")
	case has("privileged") && (!named || escalation == false):
		c.find(Warning, c.origin("privileged"), "Kubernetes refuses a privileged container that may not escalate privileges", "set allow_privilege_escalation to true or null")
	}
	if has("storage_pvc_ensure") && !has("storage_capacity") {
		c.find(Warning, c.origin("storage_pvc_ensure"), "a claim is made that asks for no capacity, which Kubernetes refuses", "set storage_capacity")
	}
	if _, set := given["service_account"].(string); set && given["automount_service_account_token"] == nil {
		c.find(Warning, c.origin("service_account"), "with a service account KubeSpawner says nothing about its token, so that Kubernetes mounts it into the user's pod",
			"write automountServiceAccountToken: false in the policy unless users need it")
	}
}

func falsy(v any) bool {
	switch v {
	case nil, false, int64(0), 0.0, "":
		return true
	}
	return empty(v)
}

// didYouMean names the trait that is nearest to a misspelt one.
func didYouMean(name string) string {
	best, distance := "", 4
	for _, known := range slices.Sorted(maps.Keys(traitByName)) {
		if d := spelling.Distance(name, known); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		for _, known := range slices.Sorted(maps.Keys(traitByName)) {
			if snakeCase(name) == known {
				best = known
			}
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}
