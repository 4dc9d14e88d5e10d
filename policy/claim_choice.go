package policy

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// wantedClaim is a claim of a server of which it isn't known yet under what name the server has it.
type wantedClaim struct {
	// key is its name in the setting claims; "" is the home.
	key string
	// setting is where the template of its name stands.
	setting, template string
	// own is the name by the template, and legacy that by the escape scheme, "" for none.
	own, legacy string
	// chosen is the name that was chosen before, "" for own; nil: choose.
	chosen *string
}

// chooseClaim gives the claim that {pvc_name} stands for: one that this identity already has, else the template's name, so
// that a changed template or slug never gives anybody an empty home. A choice that was made before is kept if it is
// one of these.
func (x *server) chooseClaim() *Denial {
	x.ownClaim = x.names.Claim
	if !x.plan.usesClaim {
		return nil
	}
	home := wantedClaim{setting: "pvcNameTemplate", template: deref(x.s.PVCNameTemplate), own: x.ownClaim, chosen: x.in.Claim}
	if x.s.HandleLegacyNames == nil || *x.s.HandleLegacyNames {
		home.legacy = x.legacyClaimName()
	}
	name, denial := x.choose(&home)
	if denial == nil {
		x.names.Claim = name
	}
	return denial
}

// choose gives the name under which the server has, or is to have, a claim.
func (x *server) choose(w *wantedClaim) (string, *Denial) {
	candidates := x.claimCandidates(w)
	name := w.own
	switch {
	case w.chosen == nil && x.isUnclear(w, candidates):
		d := denyf(IdentityConflict, nil, w.setting,
			"the claims %s are all user %q's for server %q, and neither their names (the template gives %q) nor the label %s tell which to use: delete or relabel all but one",
			quotedNames(candidates), x.in.Identity.User, x.in.Identity.Server, w.own, LabelHub)
		return "", &d
	case w.chosen == nil && len(candidates) > 0:
		name = candidates[0]
	case w.chosen == nil:
	case *w.chosen == "", *w.chosen == w.own:
		if missed := x.missed(w, candidates); missed != "" {
			d := denyf(PolicyChanged, nil, "metadata.annotations["+AnnotationApplied+"]",
				"user %q has the claim %q, which wasn't known where the pod was fitted with %q: try again", x.in.Identity.User, missed, w.own)
			return "", &d
		}
	case slices.Contains(candidates, *w.chosen):
		name = *w.chosen
	default:
		d := denyf(PolicyChanged, nil, "metadata.annotations["+AnnotationApplied+"]",
			"the claim %q isn't known here as one of user %q: try again", *w.chosen, x.in.Identity.User)
		return "", &d
	}
	return name, x.claimConflict(w, name)
}

// missed is a claim that should have been chosen before the template's own name, which doesn't exist and would be an empty home; "" for none.
func (x *server) missed(w *wantedClaim, candidates []string) string {
	if len(candidates) == 0 || x.in.Claims.Named(w.own) != nil {
		return ""
	}
	at := slices.IndexFunc(candidates, func(name string) bool {
		c := x.in.Claims.Named(name)
		return c != nil && c.DeletionTimestamp == nil // none is chosen that goes away
	})
	if at < 0 {
		return ""
	}
	return candidates[at]
}

// isUnclear: any of several may be the one with the user's work in it, and another would look like its loss. The name that the template or the
// escape scheme gives decides, unless that claim alone lacks the hub label: it may have been planted, to take the place of the home that
// policy made.
func (x *server) isUnclear(w *wantedClaim, candidates []string) bool {
	if len(candidates) < 2 {
		return false
	}
	best := candidates[0]
	return best != w.own && best != w.legacy || !x.hasHub(best) && slices.ContainsFunc(candidates[1:], x.hasHub)
}

// hasHub says whether a claim has the hub label, which only the companion writes.
func (x *server) hasHub(claim string) bool {
	c := x.in.Claims.Named(claim)
	return c != nil && c.Labels[LabelHub] != ""
}

// quotedNames lists names: "a", "b" and "c".
func quotedNames(names []string) string {
	const most = 4
	quoted := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, `"`+name+`"`)
	}
	return strings.Join(quoted, " and ")
}

// claimCandidates are the claims of this kind that this identity has, the best one first.
func (x *server) claimCandidates(w *wantedClaim) []string {
	if x.in.Claims == nil || x.s.RememberPVCName != nil && !*x.s.RememberPVCName {
		return nil
	}
	var names, others []string
	for _, c := range x.in.Claims.Of(x.in.Identity.User) {
		// No new pod gets a claim that is being deleted; one that has it keeps it.
		if c.Labels[LabelClaim] != w.key || !x.isCandidate(c) || w.chosen == nil && c.DeletionTimestamp != nil {
			continue
		}
		if c.Annotations[AnnotationServername] == x.in.Identity.Server {
			names = append(names, c.Name)
		} else {
			others = append(others, c.Name)
		}
	}
	if len(names) == 0 && x.isOfAllServers(w) {
		names = others
	}
	if x.hasNamelessLegacy(w) {
		names = append(names, w.legacy)
	}
	slices.Sort(names)
	for _, better := range []string{w.legacy, w.own} {
		if at := slices.Index(names, better); at > 0 {
			names = slices.Concat([]string{better}, names[:at], names[at+1:])
		}
	}
	return names
}

// hasNamelessLegacy: KubeSpawner before 0.8.1 wrote no annotations on claims, and named them by the escape scheme, in which two users
// never share a name.
func (x *server) hasNamelessLegacy(w *wantedClaim) bool {
	if w.legacy == "" || w.legacy == w.own || !x.plan.adoptUnlabelled {
		return false
	}
	c := x.in.Claims.Named(w.legacy)
	if c == nil {
		return false
	}
	_, says := c.Annotations[AnnotationUsername]
	_, labelled := c.Labels[LabelHub]
	return !says && !labelled
}

// claimConflict: two users, or two hubs, whose templates give one name would meet in one home (CVE-2020-15110). What a claim
// says of whose it is can't be got around; a claim that says nothing is whoever's the template gives it to. So KubeSpawner has it too, and
// it makes its claims before their pods.
func (x *server) claimConflict(w *wantedClaim, name string) *Denial {
	if x.in.Claims == nil || name == "" {
		return nil
	}
	c := x.in.Claims.Named(name)
	if c == nil {
		return nil
	}
	id := &x.in.Identity
	user, has := c.Annotations[AnnotationUsername]
	hub, labelled := c.Labels[LabelHub]
	if (has && user != id.User) || (labelled && hub != id.Hub) {
		d := denyf(IdentityConflict, nil, w.setting, "gives %q for user %q of hub %q, and that claim is another user's or hub's: use a template that tells them apart",
			name, id.User, id.Hub)
		return &d
	}
	if c.Labels[LabelClaim] != w.key {
		d := denyf(IdentityConflict, nil, w.setting, "gives %q, and that is another claim of this server: use templates that tell them apart", name)
		return &d
	}
	return nil
}

// isOfAllServers says whether the template gives all servers of a user one name. Such a claim carries the name of the server that was started
// first, and is the others' too.
func (x *server) isOfAllServers(w *wantedClaim) bool {
	if w.template == "" { // that of its key, which tells them apart
		return false
	}
	t, ok := x.templates.byText[w.template]
	return !ok || !slices.ContainsFunc(t.parts, func(p part) bool { return slices.Contains(byServer, p.placeholder) })
}

// byServer are the placeholders whose values may differ between the servers of a user.
var byServer = []string{
	"escaped_servername", "escaped_user_server", "pod_name", "pvc_name", "safe_servername", "safe_user_server", "servername", "unescaped_servername", "user_server",
}

// isCandidate: the user agrees, and the hub's label agrees. Without that label anybody who may create claims could
// plant one, so it is taken only where every policy that speaks of it says adoptClaims: Unlabelled.
func (x *server) isCandidate(c *metav1.PartialObjectMetadata) bool {
	id := &x.in.Identity
	if c.Annotations[AnnotationUsername] != id.User {
		return false
	}
	hub, labelled := c.Labels[LabelHub]
	if labelled {
		return hub == id.Hub
	}
	return x.plan.adoptUnlabelled
}

// adoptsUnlabelled: the strictest word of the policies.
func adoptsUnlabelled(policies []*compiledPolicy) bool {
	named := false
	for _, p := range policies {
		if p.spec.AdoptClaims == "" {
			continue
		}
		if p.spec.AdoptClaims != v1alpha1.AdoptUnlabelled {
			return false
		}
		named = true
	}
	return named
}

// legacyClaimName is what pvcNameTemplate gave under the escape scheme.
func (x *server) legacyClaimName() string {
	t, ok := x.templates.byText[deref(x.s.PVCNameTemplate)]
	if !ok {
		return ""
	}
	name, err := t.expand(func(placeholder string) (string, error) {
		switch placeholder {
		case "username", "servername", "user_server":
			return x.slug(placeholder, true)
		}
		return x.value(placeholder)
	})
	if err != nil {
		return ""
	}
	return name
}
