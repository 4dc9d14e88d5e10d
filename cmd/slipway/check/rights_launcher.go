package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// launcherNeeds are what every launcher needs where it launches.
var launcherNeeds = []right{
	{"create", "", "pods", "", "it starts servers"},
	{"get", "", "pods", "", "it looks after servers"},
	{"list", "", "pods", "", "it looks after servers"},
	{"watch", "", "pods", "", "it looks after servers"},
	{"delete", "", "pods", "", "it stops servers"},
}

// ownLauncherNeeds are what one needs too that isn't a hub that keeps its own pods.
var ownLauncherNeeds = []right{
	{"create", "", "secrets", "", "it hands the environment of a server over"},
	{"get", "", "namespaces", "", "it reads the labels that policies are selected by"},
}

// danger is a right that a hub shouldn't have, and how bad it is.
type danger struct {
	severity Severity
	right
}

// dangers are such rights in the namespaces where it launches. By some a hub that was broken into reaches what isn't its own; by
// others it gets rid of policy altogether.
var dangers = []danger{
	{Warning, right{verb: "get", resource: "secrets"}},
	{Warning, right{verb: "list", resource: "secrets"}},
	{Warning, right{verb: "watch", resource: "secrets"}},
	{Warning, right{verb: "patch", resource: "secrets"}},
	{Warning, right{verb: "update", resource: "secrets"}},
	{Warning, right{verb: "create", resource: "pods/exec"}},
	{Warning, right{verb: "create", resource: "pods/attach"}},
	{Warning, right{verb: "create", group: "apps", resource: "deployments"}},
	{Warning, right{verb: "create", group: "apps", resource: "daemonsets"}},
	{Warning, right{verb: "create", group: "apps", resource: "statefulsets"}},
	{Warning, right{verb: "create", group: "apps", resource: "replicasets"}},
	{Warning, right{verb: "create", group: "batch", resource: "jobs"}},
	{Warning, right{verb: "create", group: "batch", resource: "cronjobs"}},
	{Wrong, right{verb: "create", resource: "serviceaccounts/token"}},
	{Wrong, right{verb: "impersonate", resource: "serviceaccounts"}},
	{Wrong, right{verb: "create", group: rbacv1.GroupName, resource: "rolebindings"}},
	{Wrong, right{verb: "create", group: slipwayGroup, resource: "spawnpolicies"}},
	{Wrong, right{verb: "patch", group: slipwayGroup, resource: "spawnpolicies"}},
	{Wrong, right{verb: "update", group: slipwayGroup, resource: "spawnpolicies"}},
}

// clusterDangers are such rights on what has no namespace.
var clusterDangers = []danger{
	{Wrong, right{verb: "create", group: rbacv1.GroupName, resource: "clusterrolebindings"}},
	{Wrong, right{verb: "patch", group: admissionGroup, resource: "mutatingwebhookconfigurations"}},
	{Wrong, right{verb: "update", group: admissionGroup, resource: "mutatingwebhookconfigurations"}},
	{Wrong, right{verb: "delete", group: admissionGroup, resource: "mutatingwebhookconfigurations"}},
	{Wrong, right{verb: "patch", group: admissionGroup, resource: "validatingwebhookconfigurations"}},
	{Wrong, right{verb: "update", group: admissionGroup, resource: "validatingwebhookconfigurations"}},
	{Wrong, right{verb: "delete", group: admissionGroup, resource: "validatingwebhookconfigurations"}},
	{Wrong, right{verb: "delete", group: admissionGroup, resource: "validatingadmissionpolicies"}},
	{Wrong, right{verb: "delete", group: admissionGroup, resource: "validatingadmissionpolicybindings"}},
	{Wrong, right{verb: "create", group: slipwayGroup, resource: "clusterspawnpolicies"}},
	{Wrong, right{verb: "patch", group: slipwayGroup, resource: "clusterspawnpolicies"}},
	{Wrong, right{verb: "update", group: slipwayGroup, resource: "clusterspawnpolicies"}},
	{Wrong, right{verb: "impersonate", resource: "users"}},
	{Wrong, right{verb: "get", resource: "nodes/proxy"}},
	{Wrong, right{verb: "patch", resource: "namespaces"}},
	{Wrong, right{verb: "update", resource: "namespaces"}},
}

// mostNamespaces bounds how many are asked about for one launcher.
const mostNamespaces = 50

// launching is an account, and where it launches.
type launching struct {
	account    string
	namespaces []string
	// keeps: a policy that names it starts from the hub's own pods.
	keeps bool
	// ownNamespaces is a policy that names it and gives users namespaces of their own; "" where none does.
	ownNamespaces string
}

// lookAtLauncherRights asks of every account that policies let launch what it may do where they let it.
func lookAtLauncherRights(ctx context.Context, in *installation) []Finding {
	var found []Finding
	for _, l := range in.launching(ctx) {
		if gone := in.missingAccount(ctx, l.account); gone != nil {
			found = append(found, *gone)
			continue
		}
		if everything, seen := in.may(ctx, l.account, "", right{verb: "*", group: "*", resource: "*"}); everything || !seen {
			if everything {
				found = append(found, wrong("ServiceAccount "+slash(l.account), "", "may do everything in the cluster: a hub that was broken into has all of it",
					"kubectl get clusterrolebindings -o wide | grep "+slash(l.account)+"; delete that binding"))
			}
			continue
		}
		if n := len(l.namespaces); n > mostNamespaces {
			l.namespaces = l.namespaces[:mostNamespaces]
			found = append(found, note("ServiceAccount "+slash(l.account), "", fmt.Sprintf("launches in %d namespaces, of which the first %d were looked at", n, mostNamespaces), ""))
		}
		found = append(found, in.lookAtNeeds(ctx, &l)...)
		found = append(found, in.lookAtDangers(ctx, &l)...)
		found = append(found, in.lookAtNamespaceRights(ctx, &l)...)
	}
	return found
}

// launching are the launchers by name. Where no namespace is known in which one launches, there is nothing to be asked but
// what it may do everywhere.
func (in *installation) launching(ctx context.Context) []launching {
	policies, _ := in.policies(ctx)
	used := in.used(ctx)
	var all []launching
	for i := range policies {
		p := &policies[i]
		for _, named := range p.Spec.Launchers {
			account := userName(named.ServiceAccount.Namespace, named.ServiceAccount.Name)
			at := slices.IndexFunc(all, func(l launching) bool { return l.account == account })
			if at < 0 {
				at = len(all)
				all = append(all, launching{account: account})
			}
			all[at].keeps = all[at].keeps || p.Spec.Skeleton == v1alpha1.SkeletonKeep
			if p.givesNamespaces() {
				all[at].ownNamespaces = p.object()
			}
			for j := range used {
				if n := &used[j]; p.isFor(in, n) && !slices.Contains(all[at].namespaces, n.name) {
					all[at].namespaces = append(all[at].namespaces, n.name)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b launching) int { return strings.Compare(a.account, b.account) })
	return all
}

func (in *installation) missingAccount(ctx context.Context, account string) *Finding {
	namespace, name := accountOf(account)
	_, err := in.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return nil // what it may do can be asked without seeing it
	}
	f := warning("ServiceAccount "+slash(account), "", "isn't there, but a policy names it as launcher: whoever creates it may start servers",
		fmt.Sprintf("kubectl create serviceaccount %s --namespace %s, or take it out of the policy's launchers", name, namespace))
	return &f
}

// lookAtNeeds has one finding for each namespace and resource.
func (in *installation) lookAtNeeds(ctx context.Context, l *launching) []Finding {
	needs := launcherNeeds
	if !l.keeps {
		needs = slices.Concat(needs, ownLauncherNeeds)
	}
	needs = slices.DeleteFunc(slices.Clone(needs), func(r right) bool {
		everywhere, seen := in.may(ctx, l.account, "", r)
		return everywhere || !seen
	})
	var found []Finding
	for _, namespace := range l.namespaces {
		missing := map[string][]string{}
		for _, r := range needs {
			if allowed, seen := in.may(ctx, l.account, namespace, r); seen && !allowed {
				missing[r.resource] = append(missing[r.resource], r.verb)
			}
		}
		for _, resource := range slices.Sorted(maps.Keys(missing)) {
			verbs := missing[resource]
			found = append(found, wrong("ServiceAccount "+slash(l.account), "",
				fmt.Sprintf("may not %s %s in namespace %s, where a policy lets it launch", strings.Join(verbs, ", "), resource, namespace),
				grant(l.account, namespace, resource, verbs)))
		}
	}
	return found
}

// lookAtDangers has one finding of each severity for what an account may do too much in the cluster, and in each namespace.
func (in *installation) lookAtDangers(ctx context.Context, l *launching) []Finding {
	everywhere := in.granted(ctx, l.account, "", slices.Concat(dangers, clusterDangers))
	found := tooMuch(l.account, "", everywhere)
	here := slices.DeleteFunc(slices.Clone(dangers), func(d danger) bool { return slices.Contains(everywhere, d) })
	for _, namespace := range l.namespaces {
		found = append(found, tooMuch(l.account, namespace, in.granted(ctx, l.account, namespace, here))...)
	}
	return found
}

// granted are those of some rights that an account has.
func (in *installation) granted(ctx context.Context, account, namespace string, rights []danger) []danger {
	var has []danger
	for _, d := range rights {
		if allowed, _ := in.may(ctx, account, namespace, d.right); allowed {
			has = append(has, d)
		}
	}
	return has
}

func tooMuch(account, namespace string, has []danger) []Finding {
	means := map[Severity]string{
		Warning: "by which a hub that was broken into reaches what isn't its own, or runs pods without the hub label",
		Wrong:   "by which a hub that was broken into gets rid of policy",
	}
	in, bindings := " in the whole cluster", "clusterrolebindings"
	if namespace != "" {
		in, bindings = " in namespace "+namespace, "rolebindings,clusterrolebindings --namespace "+namespace
	}
	var found []Finding
	for _, severity := range []Severity{Wrong, Warning} {
		var rights []string
		for _, d := range has {
			if d.severity == severity {
				rights = append(rights, d.String())
			}
		}
		if len(rights) > 0 {
			found = append(found, Finding{
				Severity: severity, Object: "ServiceAccount " + slash(account),
				Message: "may " + strings.Join(rights, ", ") + in + ", " + means[severity],
				Mend:    fmt.Sprintf("kubectl get %s -o wide | grep %s; take these rights out of the role that it names", bindings, slash(account)),
			})
		}
	}
	return found
}
