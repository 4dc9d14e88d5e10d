package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Who reads a role in review reads there, too, why each right is in it.
func TestEveryVerbSaysWhy(t *testing.T) {
	verb := regexp.MustCompile(`^ +- (get|list|watch|create|update|patch|delete|deletecollection|escalate|bind|impersonate|"\*")(.*)$`)
	verbs := 0
	for _, pattern := range []string{"/templates/*/*", "/templates/*.*"} {
		files, err := filepath.Glob(folder + pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for line := range strings.SplitSeq(string(text), "\n") {
				if found := verb.FindStringSubmatch(line); found != nil {
					verbs++
					assert.Regexp(t, `^ # \w+`, found[2], "%s: %s", file, line)
				}
			}
		}
	}
	assert.Greater(t, verbs, 30)
}

func TestNobodyGetsMoreThanIsNamed(t *testing.T) {
	for name, v := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, o := range render(t, v) {
				if o.GetKind() != "Role" && o.GetKind() != "ClusterRole" {
					continue
				}
				for _, rule := range as[rbacv1.ClusterRole](t, o).Rules {
					assert.NotContains(t, slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs), "*", o.GetName())
					if slices.Contains(rule.Resources, "secrets") && !slices.Equal(rule.Verbs, []string{"create"}) {
						assert.NotEmpty(t, rule.ResourceNames, "%s reads or changes Secrets that aren't its own", o.GetName())
					}
				}
			}
		})
	}
}

// The admission policy for user namespaces makes a pattern of the template, for which it has to know each placeholder that policy knows
// there: the admission policy refuses what it doesn't know.
func TestTheChartKnowsThePlaceholdersOfUserNamespaceTemplate(t *testing.T) {
	v := values{"launcher": values{"clusterWide": true, "userNamespaces": true, "userNamespacePolicy": "own"}}
	spec := as[admissionregistrationv1.ValidatingAdmissionPolicy](t, render(t, v).find(t, "ValidatingAdmissionPolicy", "slipway-user-namespaces")).Spec
	at := slices.IndexFunc(spec.Variables, func(v admissionregistrationv1.Variable) bool { return v.Name == "literal" })
	text := spec.Variables[at].Expression
	known := 0
	for _, placeholder := range []string{
		"escaped_servername", "escaped_user_server", "escaped_username", "hubnamespace", "namespace", "pod_name", "pvc_name",
		"safe_servername", "safe_user_server", "safe_username", "servername", "unescaped_servername", "unescaped_username",
		"user_server", "userid", "username",
	} {
		template := "x-{" + placeholder + "}"
		var p v1alpha1.ClusterSpawnPolicy
		p.Name = "own"
		p.Spec.Defaults = &v1alpha1.Settings{Server: v1alpha1.Server{UserNamespaceTemplate: &template}}
		ok := len(policy.Compile(policy.Policies{Cluster: []v1alpha1.ClusterSpawnPolicy{p}}).Errors()) == 0
		assert.Equal(t, ok, strings.Contains(text, ".replace('{"+placeholder+"}', '')"), placeholder)
		if ok {
			known++
		}
	}
	assert.Equal(t, 13, known)
}

// verbsOn are the verbs that a role gives on a resource.
func verbsOn(t *testing.T, objects objects, kind, role, resource string) []string {
	t.Helper()
	var verbs []string
	for _, rule := range as[rbacv1.ClusterRole](t, objects.find(t, kind, role)).Rules {
		for _, r := range rule.Resources {
			if r == resource {
				verbs = append(verbs, rule.Verbs...)
			}
		}
	}
	return verbs
}

// What certs.KeeperOptions says, each of which package certificates takes away to see something fail.
func TestTheWebhookHasNoMoreRightsForCertificatesThanItUses(t *testing.T) {
	rendered := render(t, nil)
	assert.Equal(t, []string{"list", "watch", "update"}, verbsOn(t, rendered, "Role", "slipway-webhook", "secrets"))
	for _, resource := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
		assert.Equal(t, []string{"list", "watch", "patch"}, verbsOn(t, rendered, "ClusterRole", "slipway-webhook", resource))
	}
}

func TestOnlyWhoMakesTheAuthorityPublishesIt(t *testing.T) {
	for mode, patches := range map[string]bool{"selfSigned": true, "certManager": false} {
		rendered := render(t, values{"certificates": values{"mode": mode}})
		for _, resource := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
			verbs := verbsOn(t, rendered, "ClusterRole", "slipway-webhook", resource)
			if patches {
				assert.Contains(t, verbs, "patch", mode)
			} else {
				assert.NotContains(t, verbs, "patch", mode)
			}
		}
	}
}

func TestLaunchersMayLaunchWhereTheValuesSay(t *testing.T) {
	sidecar := render(t, values{
		"launcherAccounts": []any{
			values{"namespace": "jupyter", "name": "hub", "bind": true}, values{"namespace": "other", "name": "kubespawner"},
		},
		"launcher": values{"namespaces": []any{"a", "b"}, "podLogs": true},
	})
	bindings := map[string]string{}
	for _, o := range sidecar {
		if (o.GetKind() == "RoleBinding" || o.GetKind() == "ClusterRoleBinding") && o.GetName() == "slipway-launcher" {
			binding := as[rbacv1.RoleBinding](t, o)
			assert.Equal(t, []rbacv1.Subject{{Kind: "ServiceAccount", Name: "hub", Namespace: "jupyter"}}, binding.Subjects)
			bindings[binding.Namespace] = binding.RoleRef.Kind
		}
	}
	assert.Equal(t, map[string]string{"": "ClusterRole", "a": "Role", "b": "Role"}, bindings)
	assert.Empty(t, verbsOn(t, sidecar, "ClusterRole", "slipway-launcher", "pods"))
	assert.Empty(t, verbsOn(t, sidecar, "ClusterRole", "slipway-launcher", "tokenreviews"), "a hub's own launcher is called by it alone")

	assert.Equal(t, []string{"get"}, verbsOn(t, render(t, values{"launcher": launcher(values{"namespaces": []any{"a"}})}), "Role", "slipway-launcher", "namespaces"))

	wide := render(t, values{"launcher": launcher(values{"clusterWide": true, "userNamespaces": true, "userNamespacePolicy": "own"})})
	assert.Equal(t, []string{"create", "get", "list", "watch", "delete"}, verbsOn(t, wide, "ClusterRole", "slipway-launcher", "pods"))
	assert.Equal(t, []string{"create"}, verbsOn(t, wide, "ClusterRole", "slipway-launcher", "secrets"))
	assert.Equal(t, []string{"create"}, verbsOn(t, wide, "ClusterRole", "slipway-launcher-callers", "tokenreviews"))
	assert.Equal(t, []string{"create", "get"}, verbsOn(t, wide, "ClusterRole", "slipway-launcher", "namespaces"))
	assert.Empty(t, verbsOn(t, wide, "ClusterRole", "slipway-launcher", "pods/log"))

	// A sidecar's account beside the launcher's own asks nobody who calls.
	both := render(t, values{
		"launcherAccounts": []any{values{"namespace": "jupyter", "name": "hub", "bind": true}}, "launcher": launcher(values{"clusterWide": true}),
	})
	assert.Empty(t, verbsOn(t, both, "ClusterRole", "slipway-launcher", "tokenreviews"))
	callers := as[rbacv1.ClusterRoleBinding](t, both.find(t, "ClusterRoleBinding", "slipway-launcher-callers"))
	assert.Equal(t, []rbacv1.Subject{{Kind: "ServiceAccount", Name: "slipway-launcher", Namespace: namespace}}, callers.Subjects)

	for _, o := range render(t, nil) {
		assert.NotEqual(t, "slipway-launcher", o.GetName(), o.GetKind())
	}
}
