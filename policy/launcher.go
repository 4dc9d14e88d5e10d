package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

const serviceAccountPrefix = "system:serviceaccount:"

// checkLauncher asks every selected policy that names launchers whether the caller may say what it says. The
// strictest answer holds: they are ANDed, so a namespace's policy can't let anybody in whom the cluster's keeps out.
//
// asserted are the groups that rest on the caller's word. Where no caller is known, it is any account that policies list and that
// may; the denials are then the first one's, and there are none where no policy lists any.
func checkLauncher(policies []*compiledPolicy, in *Input, asserted []string) []Denial {
	if in.anyCaller {
		return nil
	}
	if in.Caller != "" {
		return checkCaller(policies, in, in.Caller, asserted)
	}
	var first []Denial
	for _, p := range policies {
		for i := range p.spec.Launchers {
			denials := checkCaller(policies, in, accountName(&p.spec.Launchers[i]), asserted)
			if len(denials) == 0 {
				return nil
			}
			if first == nil {
				first = denials
			}
		}
	}
	return first
}

func checkCaller(policies []*compiledPolicy, in *Input, caller string, asserted []string) []Denial {
	var denials []Denial
	named := false
	for _, p := range policies {
		if len(p.spec.Launchers) == 0 {
			continue
		}
		named = true
		if d, ok := p.admitsLauncher(in, caller, asserted); !ok {
			denials = append(denials, d)
		}
	}
	if !named {
		denials = append(denials, denyf(LauncherNotAllowed, nil, "spec.launchers",
			"no policy for hub %q in namespace %q names launchers: list the account %s in one", in.Identity.Hub, in.Namespace.Name, caller))
	}
	return denials
}

func (p *compiledPolicy) admitsLauncher(in *Input, caller string, asserted []string) (Denial, bool) {
	reason := "isn't listed there"
	for i := range p.spec.Launchers {
		l := &p.spec.Launchers[i]
		if accountName(l) != caller {
			continue
		}
		if reason = exceeds(l, in, asserted); reason == "" {
			return Denial{}, true
		}
	}
	return denyf(LauncherNotAllowed, &p.ref, "spec.launchers", "account %s %s", caller, reason), false
}

// exceeds says what of the identity is beyond what this entry lets the account assert; "" if nothing is.
func exceeds(l *v1alpha1.Launcher, in *Input, asserted []string) string {
	if len(l.Hubs) > 0 && !slices.Contains(l.Hubs, in.Identity.Hub) {
		return fmt.Sprintf("may not launch for hub %q", in.Identity.Hub)
	}
	if len(l.Users) > 0 && !matchesAny(l.Users, in.Identity.User) {
		return fmt.Sprintf("may not launch for user %q", in.Identity.User)
	}
	for _, g := range asserted {
		if !matchesAny(l.MayAssertGroups, g) {
			return fmt.Sprintf("may not say that a user is in group %q: see mayAssertGroups", g)
		}
	}
	return ""
}

func accountName(l *v1alpha1.Launcher) string {
	return serviceAccountPrefix + l.ServiceAccount.Namespace + ":" + l.ServiceAccount.Name
}

// hubNamespace is the namespace that the caller's account lives in; where no caller is known, that of the first
// launcher that policy lists for this hub. Empty if there is none.
func hubNamespace(policies []*compiledPolicy, in *Input) string {
	if account, ok := strings.CutPrefix(in.Caller, serviceAccountPrefix); ok {
		ns, _, _ := strings.Cut(account, ":")
		return ns
	}
	for _, p := range policies {
		for i := range p.spec.Launchers {
			if l := &p.spec.Launchers[i]; len(l.Hubs) == 0 || slices.Contains(l.Hubs, in.Identity.Hub) {
				return l.ServiceAccount.Namespace
			}
		}
	}
	return ""
}
