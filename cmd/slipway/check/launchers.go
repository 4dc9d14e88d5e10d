package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// launcherCheck is the condition of the chart's admission policies for launchers.
const launcherCheck = "is-launcher"

// lookAtLaunchers compares the accounts that policies let launch with those that the chart's value launcherAccounts bounds.
func lookAtLaunchers(ctx context.Context, in *installation) []Finding {
	policies, seen := in.policies(ctx)
	if !seen {
		return nil
	}
	named := map[string]string{} // by account, the first policy that names it
	var accounts []string
	for i := range policies {
		for j, l := range policies[i].Spec.Launchers {
			user := userName(l.ServiceAccount.Namespace, l.ServiceAccount.Name)
			if named[user] == "" {
				named[user] = fmt.Sprintf("%s spec.launchers[%d]", policies[i].object(), j)
				accounts = append(accounts, user)
			}
		}
	}
	slices.Sort(accounts)
	var found []Finding
	if len(policies) > 0 && len(accounts) == 0 {
		found = append(found, warning("", "spec.launchers", "no policy names a launcher, so nobody may start a server (LauncherNotAllowed)",
			"add to a policy: launchers: [{serviceAccount: {namespace: NS, name: NAME}}]"))
	}
	for _, list := range in.launcherLists(ctx) {
		if list.err != nil {
			found = append(found, wrong(list.object, list.field, list.err.Error(), in.installAgain()))
			continue
		}
		found = append(found, in.compareAccounts(list, accounts, named)...)
	}
	return found
}

// launcherList is one place of the cluster that lists the launchers' accounts.
type launcherList struct {
	object, field string
	accounts      []string
	// bounds is what a launcher that isn't there escapes.
	bounds string
	err    error
}

// launcherLists are those that can be seen.
func (in *installation) launcherLists(ctx context.Context) []launcherList {
	var lists []launcherList
	api := in.client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	for name, bounds := range map[string]string{
		"slipway-launchers": "may create any pod", "slipway-launcher-secrets": "may create any Secret",
	} {
		p, err := api.Get(ctx, name, metav1.GetOptions{})
		if there, _ := in.looked("get validatingadmissionpolicies.admissionregistration.k8s.io", err); !there {
			continue // that it is missing is said by another check
		}
		l := launcherList{object: "ValidatingAdmissionPolicy " + name, field: "spec.matchConditions[" + launcherCheck + "]", bounds: bounds, err: errNoList}
		for _, m := range p.Spec.MatchConditions {
			if accounts, has := accountsOf(m.Expression); has && m.Name == launcherCheck {
				l.accounts, l.err = accounts, nil
			}
		}
		lists = append(lists, l)
	}
	slices.SortFunc(lists, func(a, b launcherList) int { return strings.Compare(a.object, b.object) })
	if all, seen := in.seeConfigurations(ctx); seen && all.verifying != nil {
		l := launcherList{object: verifyingObject, field: "webhooks[0].matchConditions[" + launcherCondition + "]", bounds: "may create pods unverified", err: errNoList}
		if accounts, has := accountsOf(conditionNamed(all.verifying, launcherCondition)); has {
			l.accounts, l.err = accounts, nil
		}
		lists = append(lists, l)
	}
	return lists
}

func (in *installation) compareAccounts(list launcherList, accounts []string, named map[string]string) []Finding {
	var found []Finding
	for _, a := range accounts {
		if !slices.Contains(list.accounts, a) {
			namespace, name := accountOf(a)
			found = append(found, wrong(list.object, list.field,
				fmt.Sprintf("lacks %s, which %s names: with this account's token one %s that its rights allow, outside policy", a, named[a], list.bounds),
				fmt.Sprintf("add {namespace: %s, name: %s} to the chart's value launcherAccounts, and %s", namespace, name, in.installAgain())))
		}
	}
	for _, a := range list.accounts {
		if !slices.Contains(accounts, a) {
			found = append(found, note(list.object, list.field, "has "+a+", which no policy names: it can start no server",
				"add it to a policy's launchers, or take it out of the chart's value launcherAccounts"))
		}
	}
	return found
}

func userName(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// accountOf takes the user name of a service account apart.
func accountOf(user string) (namespace, name string) {
	namespace, name, _ = strings.Cut(strings.TrimPrefix(user, "system:serviceaccount:"), ":")
	return namespace, name
}
