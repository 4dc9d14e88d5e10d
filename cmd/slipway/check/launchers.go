package check

import (
	"context"
	"errors"
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
	var lists []launcherList
	for _, list := range in.launcherLists(ctx) {
		if list.err != nil {
			found = append(found, wrong(list.object, list.field, list.err.Error(), in.installAgain()))
			continue
		}
		lists = append(lists, list)
	}
	return append(found, in.compareAccounts(lists, accounts, named)...)
}

// errNoList is that an expression isn't the chart's any more.
var errNoList = errors.New("has no list of accounts any more")

// launcherList is one place of the cluster that lists the launchers' accounts.
type launcherList struct {
	object, field string
	accounts      []string
	// bounds is what an account creates freely that isn't there.
	bounds string
	err    error
}

// launcherLists are those that can be seen.
func (in *installation) launcherLists(ctx context.Context) []launcherList {
	var lists []launcherList
	api := in.client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	for name, bounds := range map[string]string{
		"slipway-launchers": "any pod", "slipway-launcher-secrets": "any Secret",
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
		l := launcherList{object: verifyingObject, field: "webhooks[0].matchConditions[" + launcherCondition + "]", bounds: "pods that nobody verifies", err: errNoList}
		if accounts, has := accountsOf(conditionNamed(all.verifying, launcherCondition)); has {
			l.accounts, l.err = accounts, nil
		}
		lists = append(lists, l)
	}
	return lists
}

// compareAccounts has one finding for each account, since there is one mend.
func (in *installation) compareAccounts(lists []launcherList, accounts []string, named map[string]string) []Finding {
	all := slices.Clone(accounts)
	for i := range lists {
		all = append(all, lists[i].accounts...)
	}
	slices.Sort(all)
	var found []Finding
	for _, a := range slices.Compact(all) {
		isNamed := slices.Contains(accounts, a)
		var objects, fields, bounds []string
		for i := range lists {
			if slices.Contains(lists[i].accounts, a) != isNamed {
				objects, fields, bounds = append(objects, lists[i].object), append(fields, lists[i].field), append(bounds, lists[i].bounds)
			}
		}
		if len(objects) == 0 {
			continue
		}
		object, field := strings.Join(objects, ", "), strings.Join(slices.Compact(fields), ", ")
		if !isNamed {
			found = append(found, note(object, field, "has "+a+", which no policy names: it can start no server",
				"add it to a policy's launchers, or take it out of the chart's value launcherAccounts"))
			continue
		}
		namespace, name := accountOf(a)
		found = append(found, wrong(object, field,
			fmt.Sprintf("lacks %s, which %s names: as far as its rights go, this account may create %s, outside policy", a, named[a], strings.Join(bounds, ", ")),
			fmt.Sprintf("add {namespace: %s, name: %s} to the chart's value launcherAccounts, and %s", namespace, name, in.installAgain())))
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
