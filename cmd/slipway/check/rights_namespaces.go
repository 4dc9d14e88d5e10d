package check

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// The chart's admission policies for launchers that create namespaces. The second has the ClusterSpawnPolicy that dictates them as parameter.
const (
	launcherNamespaces = "slipway-launcher-namespaces"
	userNamespaces     = "slipway-user-namespaces"

	mendUserNamespaces = "set the chart's values launcher.userNamespaces to true and launcher.userNamespacePolicy to the ClusterSpawnPolicy that says enableUserNamespaces"
)

var createNamespaces = right{"create", "", "namespaces", "", "it makes the namespaces of users"}

// lookAtNamespaceRights says whether a launcher can make the namespaces that policy gives users, and no others. Who writes the labels of a
// namespace chooses the policies that are for it.
func (in *installation) lookAtNamespaceRights(ctx context.Context, l *launching) []Finding {
	object := "ServiceAccount " + slash(l.account)
	may, seen := in.may(ctx, l.account, "", createNamespaces)
	switch {
	case !seen:
		return nil
	case !may && l.ownNamespaces != "":
		return []Finding{note(object, "", "may not create namespaces: those that "+l.ownNamespaces+" gives users have to be there before their servers",
			mendUserNamespaces+", or make them in another way")}
	case !may:
		return nil
	}
	open := in.unboundedNamespaces(ctx, l.account)
	if open == "" {
		return nil
	}
	return []Finding{wrong(object, "", "may create namespaces, by whose labels policies are selected, and "+open,
		mendUserNamespaces+", and "+in.installAgain())}
}

// unboundedNamespaces says why nothing holds the account to the namespaces that policy dictates; "" where something does, or that can't be seen.
func (in *installation) unboundedNamespaces(ctx context.Context, account string) string {
	api := in.client.AdmissionregistrationV1()
	for _, name := range []string{launcherNamespaces, userNamespaces} {
		p, err := api.ValidatingAdmissionPolicies().Get(ctx, name, metav1.GetOptions{})
		there, seen := in.looked("get validatingadmissionpolicies.admissionregistration.k8s.io", err)
		switch {
		case !seen:
			return ""
		case !there:
			return "ValidatingAdmissionPolicy " + name + " isn't there to bound that"
		case !lists(p, account):
			return "ValidatingAdmissionPolicy " + name + " doesn't list it among the launchers"
		}
		b, err := api.ValidatingAdmissionPolicyBindings().Get(ctx, name, metav1.GetOptions{})
		there, seen = in.looked("get validatingadmissionpolicybindings.admissionregistration.k8s.io", err)
		switch {
		case !seen:
			return ""
		case !there || b.Spec.PolicyName != name || !slices.Contains(b.Spec.ValidationActions, admissionregistrationv1.Deny):
			return fmt.Sprintf("ValidatingAdmissionPolicyBinding %s isn't there to have that denied", name)
		}
	}
	return ""
}

func lists(p *admissionregistrationv1.ValidatingAdmissionPolicy, account string) bool {
	return slices.ContainsFunc(p.Spec.MatchConditions, func(m admissionregistrationv1.MatchCondition) bool {
		accounts, has := accountsOf(m.Expression)
		return has && m.Name == launcherCheck && slices.Contains(accounts, account)
	})
}

// givesNamespaces says whether a policy by itself gives users namespaces of their own.
func (p *policyObject) givesNamespaces() bool {
	enabled := false
	for _, s := range []*v1alpha1.Settings{p.Spec.Defaults, p.Spec.Enforced} {
		if s != nil && s.EnableUserNamespaces != nil {
			enabled = *s.EnableUserNamespaces
		}
	}
	return enabled && p.Metadata.Namespace == ""
}
