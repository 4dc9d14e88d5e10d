package policy

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// scene is a namespace in which a policy is tried, with the policies that it meets there.
type scene struct {
	title     string
	namespace Namespace
	// madeUp: no such namespace is known, only its labels matter.
	madeUp bool
	// certain: these policies do meet; else only if some namespace has all the labels.
	certain bool
	// beside: a ClusterSpawnPolicy is tried beside SpawnPolicies. What they contradict in it is no error of it: a namespace must not
	// be able to keep the platform from writing its policies.
	beside bool
	policy *compiledPolicy
	// with has all policies; what others have wrong by themselves is left out.
	with *Compiled
	// made are variants of with, made when they are needed.
	made map[variant]*Compiled
}

// variant says how the policies of a scene differ from what they are.
type variant int

const (
	// withoutIt leaves out the policy that is checked.
	withoutIt variant = iota
	// bare: with all of it but its settings.
	bare
	// plainProfiles: with all of it but the settings of its profiles.
	plainProfiles
)

const (
	// maxNamespaces bounds the namespaces in which a ClusterSpawnPolicy is tried.
	maxNamespaces = 16
	// maxUnknown bounds the ClusterSpawnPolicies that a SpawnPolicy is tried with where its namespace isn't known.
	maxUnknown = 8
	// sampleNamespace is the name of a namespace that is made up.
	sampleNamespace = "sample"
)

// scenesOf are the scenes for a policy. A ClusterSpawnPolicy is tried where no SpawnPolicy is, and in the namespaces where there
// are some; a SpawnPolicy in its namespace.
func scenesOf(c *Compiled, p *compiledPolicy, known []Namespace) []*scene {
	if p.cluster {
		return scenesOfCluster(c, p, known)
	}
	for _, ns := range known {
		if ns.Name == p.ref.Namespace {
			return []*scene{newScene(c, p, ns, "namespace "+ns.Name)}
		}
	}
	scenes := []*scene{newScene(c, p, Namespace{Name: p.ref.Namespace}, "namespace "+p.ref.Namespace+" without labels")}
	for _, other := range c.policies {
		if other != p && other.cluster && other.selector != nil && !c.reaches(other, scenes[0].namespace) && len(scenes) <= maxUnknown {
			ns := Namespace{Name: p.ref.Namespace, Labels: labelsFor(other.spec.NamespaceSelector)}
			s := newScene(c, p, ns, "namespace "+ns.Name+" with labels "+labels.Set(ns.labelled()).String())
			s.certain = false
			scenes = append(scenes, s)
		}
	}
	return scenes
}

// scenesOfCluster begins with those where ClusterSpawnPolicies are alone: of every set of them that meets one.
func scenesOfCluster(c *Compiled, p *compiledPolicy, known []Namespace) []*scene {
	platform := &Compiled{exempt: c.exempt, policies: slices.DeleteFunc(slices.Clone(c.all()), func(o *compiledPolicy) bool { return !o.cluster })}
	first := newScene(platform, p, Namespace{Name: sampleNamespace, Labels: labelsFor(p.spec.NamespaceSelector)}, "a namespace without SpawnPolicies")
	first.madeUp = true
	alone, beside := []*scene{first}, []*scene(nil)
	theirs := c.NamespacesWithPolicies()
	for _, ns := range known {
		if !c.reaches(p, ns) {
			continue
		}
		if s := newScene(platform, p, ns, "namespace "+ns.Name+" without SpawnPolicies"); len(alone) <= maxNamespaces && !slices.ContainsFunc(alone, s.meetsSame) {
			alone = append(alone, s)
		}
		if _, has := slices.BinarySearch(theirs, ns.Name); has && len(beside) < maxNamespaces {
			s := newScene(c, p, ns, "namespace "+ns.Name)
			s.beside = true
			beside = append(beside, s)
		}
	}
	alone = append(alone, scenesOfSelectors(platform, p, alone)...)
	return append(alone, beside...)
}

// scenesOfSelectors are for the ClusterSpawnPolicies that a policy meets in none of the scenes so far: a namespace that both select.
// There is one sooner or later where the policy is for all of them; else only if somebody gives a namespace all the labels.
func scenesOfSelectors(platform *Compiled, p *compiledPolicy, met []*scene) []*scene {
	var scenes []*scene
	for _, other := range platform.policies {
		meets := func(s *scene) bool { return slices.Contains(s.with.policies, other) }
		if len(scenes) == maxUnknown || other.selector == nil || len(other.errs) > 0 || other.isAudited() || slices.ContainsFunc(met, meets) || slices.ContainsFunc(scenes, meets) {
			continue
		}
		set := map[string]string{}
		maps.Copy(set, labelsFor(p.spec.NamespaceSelector))
		maps.Copy(set, labelsFor(other.spec.NamespaceSelector))
		ns := Namespace{Name: sampleNamespace, Labels: set}
		if !platform.reaches(p, ns) || !platform.reaches(other, ns) {
			continue
		}
		s := newScene(platform, p, ns, "a namespace with labels "+labels.Set(set).String())
		s.madeUp, s.certain = true, p.selector == nil
		scenes = append(scenes, s)
	}
	return scenes
}

// meetsSame: the policy meets the same others in both scenes.
func (s *scene) meetsSame(o *scene) bool { return slices.Equal(s.with.policies, o.with.policies) }

func newScene(c *Compiled, p *compiledPolicy, ns Namespace, title string) *scene {
	s := &scene{title: title, namespace: ns, certain: true, policy: p, made: map[variant]*Compiled{}, with: &Compiled{exempt: c.exempt}}
	for _, other := range c.all() {
		if c.reaches(other, ns) && (other == p || len(other.errs) == 0 && !other.isAudited()) {
			s.with.policies = append(s.with.policies, other)
		}
	}
	if !s.launches() {
		s.with.policies = append(s.with.policies, sampleLauncher)
	}
	return s
}

// sampleLauncher stands in where no policy names launchers, which is no fault of the one that is checked: somebody has to be there
// for {hubnamespace}.
var sampleLauncher = compilePolicy(PolicyRef{Name: "sample"}, &v1alpha1.SpawnPolicySpec{
	Launchers: []v1alpha1.Launcher{{ServiceAccount: v1alpha1.ServiceAccountRef{Namespace: "jupyterhub", Name: "hub"}}},
})

func (s *scene) launches() bool {
	return slices.ContainsFunc(s.with.policies, func(p *compiledPolicy) bool { return len(p.spec.Launchers) > 0 })
}

// reaches says whether a policy is for a namespace at all.
func (c *Compiled) reaches(p *compiledPolicy, ns Namespace) bool {
	switch {
	case !p.cluster:
		return p.ref.Namespace == ns.Name
	case p.selector == nil:
		return !slices.Contains(c.exempt, ns.Name)
	}
	return p.selector.Matches(labels.Set(ns.labelled()))
}

// labelsFor are labels that a selector selects, as far as that can be said.
func labelsFor(s *metav1.LabelSelector) map[string]string {
	if s == nil {
		return nil
	}
	set := maps.Clone(s.MatchLabels)
	if set == nil {
		set = map[string]string{}
	}
	for _, r := range s.MatchExpressions {
		_, has := set[r.Key]
		switch {
		case has:
		case r.Operator == metav1.LabelSelectorOpIn && len(r.Values) > 0:
			set[r.Key] = r.Values[0]
		case r.Operator == metav1.LabelSelectorOpExists:
			set[r.Key] = ""
		}
	}
	return set
}

// variant gives the policies of the scene, changed.
func (s *scene) variant(v variant) *Compiled {
	if c := s.made[v]; c != nil {
		return c
	}
	c := &Compiled{exempt: s.with.exempt}
	for _, p := range s.with.policies {
		switch {
		case p != s.policy:
			c.policies = append(c.policies, p)
		case v == bare:
			c.policies = append(c.policies, p.withoutSettings())
		case v == plainProfiles:
			c.policies = append(c.policies, p.withPlainProfiles())
		}
	}
	s.made[v] = c
	return c
}

// input is the request for one server.
func (s *scene) input(c *Compiled, id Identity) Input {
	in := Input{Identity: id, Namespace: s.namespace, Sent: sampleHubPod(&id), anyCaller: true}
	if !s.madeUp {
		return in
	}
	// Where policy says which namespace it is, that is where the server is started.
	if place, denials := c.place(&in); len(denials) == 0 && place.Name != "" {
		in.Namespace.Name = place.Name
	}
	return in
}

// sampleHubPod is what a hub sends that makes its pods itself; only Keep looks at it.
func sampleHubPod(id *Identity) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Labels: id.Labels(), Annotations: id.Annotations()},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: NotebookContainer, Image: "quay.io/jupyter/minimal-notebook:2026-01-05"}}},
	}
}

// The users that are tried: an ordinary one, and one with whatever a name may have.
const (
	ordinaryUser = "alice"
	oddUser      = "Zoë O'Neill_#1+a.rather-long-name-for-a-user.42@Research.Example.org"
	oddServer    = "Zweiter Server_Ü.2"
)

// trial is one server that is tried.
type trial struct {
	identity Identity
	// choice is the place in the policy of what was chosen, with the kind of user.
	choice string
	unit   unit
	// ordinary users are also looked at for what is doubtful.
	ordinary bool
	// typed are texts that such a user may type for the option.
	typed []string
}

// unit is something that a user may choose.
type unit struct {
	profile *compiledProfile // nil: nothing to choose
	option  *compiledOption  // nil: all options at their defaults
	choice  *compiledChoice  // of option
	path    string
}

// allowances are who may choose it: of each, one user or group suffices.
func (u unit) allowances() (users, groups [][]string) {
	if u.profile != nil {
		users, groups = append(users, u.profile.spec.AllowedUsers), append(groups, u.profile.spec.AllowedGroups)
	}
	switch {
	case u.choice != nil:
		users, groups = append(users, u.choice.spec.AllowedUsers), append(groups, u.choice.spec.AllowedGroups)
	case u.option != nil:
		users, groups = append(users, u.option.unlisted.spec.AllowedUsers), append(groups, u.option.unlisted.spec.AllowedGroups)
	}
	return users, groups
}

// texts are what a user may type: of many kinds, as far as the option takes them.
func (u unit) texts() []string {
	var texts []string
	for _, text := range []string{
		"quay.io/jupyter/minimal-notebook:2026-01-05", "docker.io/library/python:3.14", "ghcr.io/example/image:1", "1", "4", "2Gi", "4G", "1.5", "0.5", "a", "data", "/data", "true",
		"https://example.org/a.git", "2026-01-05", "v1.0", "main",
	} {
		if u.option.unlisted.permitted(text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// units are the choices that a policy offers: every profile and, one at a time, every choice. Where it offers none, it
// is tried with the profiles of others.
func (s *scene) units() []unit {
	p := s.policy
	if len(p.profiles) == 0 {
		units := []unit{{path: "spec"}}
		const most = 16
		for _, other := range profilesOf(s.with.policies) {
			if len(units) <= most {
				units = append(units, unit{profile: other, path: "spec"})
			}
		}
		return units
	}
	var units []unit
	for _, profile := range p.profiles {
		units = append(units, unit{profile: profile, path: profile.path.String()})
		for _, o := range profile.options {
			for _, c := range o.choices {
				units = append(units, unit{profile: profile, option: o, choice: c, path: o.path.Child("choices").Key(c.spec.Name).String()})
			}
			if o.unlisted != nil {
				units = append(units, unit{profile: profile, option: o, path: o.path.Child("unlistedChoice").String()})
			}
		}
	}
	return units
}

// trial is a server for somebody who chooses this; it isn't possible where what the choice takes can't be guessed.
func (u unit) trial(id Identity, kind string) (t trial, possible bool) {
	t = trial{identity: id, unit: u, choice: u.path + " " + kind, ordinary: kind == ""}
	if u.option == nil || u.choice != nil {
		return t, true
	}
	t.typed = u.texts()
	return t, len(t.typed) > 0
}

// trials are the servers to try in a scene, for ordinary users or for the others. The ordinary ones of all scenes come first: where
// there isn't time for all, a choice that nobody can start is found before one that a long name breaks.
func (k *checker) trials(s *scene, ordinary bool) []trial {
	var trials []trial
	hubs := s.hubs()
	for _, u := range s.units() {
		add := func(kind, hub, user, server string, also ...*compiledPolicy) bool {
			id, found := s.person(hub, user, u, also...)
			id.Server = server
			if t, possible := u.trial(id, kind); found && possible {
				trials = append(trials, t)
			}
			return found
		}
		if ordinary {
			if !add("", hubs[0], ordinaryUser, "") {
				k.unreachable(s, u)
			}
			continue
		}
		if _, found := s.person(hubs[0], ordinaryUser, u); !found {
			continue
		}
		add("server", hubs[0], ordinaryUser, oddServer)
		add("user", hubs[0], oddUser, "")
		for _, hub := range hubs[1:] {
			add("hub", hub, ordinaryUser, "")
		}
		for _, other := range s.choosy() {
			add("group", hubs[0], ordinaryUser, "", other)
		}
	}
	return trials
}

// hubs are those that the policy is for; where it is for any, those that others name.
func (s *scene) hubs() []string {
	const most = 4
	hubs := slices.Clone(s.policy.spec.Hubs)
	if len(hubs) == 0 {
		for _, p := range s.with.policies {
			hubs = append(hubs, p.spec.Hubs...)
			for i := range p.spec.Launchers {
				hubs = append(hubs, p.spec.Launchers[i].Hubs...)
			}
		}
		slices.Sort(hubs)
		hubs = slices.Compact(hubs)
	}
	if len(hubs) == 0 {
		hubs = []string{"main"}
	}
	return hubs[:min(len(hubs), most)]
}

// choosy are other policies that are for some users or groups alone.
func (s *scene) choosy() []*compiledPolicy {
	const most = 8
	var found []*compiledPolicy
	for _, p := range s.with.policies {
		if p != s.policy && len(p.spec.Users)+len(p.spec.Groups) > 0 && len(found) < most {
			found = append(found, p)
		}
	}
	return found
}

// person finds a user like the one given whom the policy, and others beside it, are for and who may choose this.
func (s *scene) person(hub, like string, u unit, also ...*compiledPolicy) (Identity, bool) {
	policies := append([]*compiledPolicy{s.policy}, also...)
	var patterns [][]string
	var needed, helpful []string
	for _, p := range policies {
		patterns = append(patterns, p.spec.Users)
		needed = append(needed, firstOf(p.spec.Groups)...)
	}
	allowedUsers, allowedGroups := u.allowances()
	patterns = append(patterns, allowedUsers...)
	for _, list := range allowedGroups {
		helpful = append(helpful, firstOf(list)...)
	}
	id := Identity{Hub: hub, UserID: new(int64(1))}
	if u.profile != nil {
		id.Profile = u.profile.spec.Slug
	}
	if u.option != nil && u.choice != nil {
		id.Options = map[string]string{u.option.name: u.choice.spec.Name}
	}
	users := append(usersLike(like, patterns), s.members(slices.Concat(append(allowedGroups, needed)...))...)
	for _, groups := range [][]string{needed, slices.Concat(needed, helpful)} {
		for _, user := range users {
			id.User, id.Groups = user, groups
			if s.admits(&id, policies, u) {
				return id, true
			}
		}
	}
	return Identity{}, false
}

func firstOf(list []string) []string { return list[:min(len(list), 1)] }

// usersLike are names that single patterns fit, and names that a pattern of one list and one of another may both fit.
func usersLike(like string, lists [][]string) []string {
	const most = 64
	users := []string{like}
	for range 2 {
		for _, list := range lists {
			for _, pattern := range list {
				for _, stem := range slices.Clone(users) {
					if user := strings.ReplaceAll(pattern, "*", stem); len(users) < most && !slices.Contains(users, user) {
						users = append(users, user)
					}
				}
			}
		}
	}
	return users
}

// members are users whom the cluster itself has in these groups.
func (s *scene) members(groups []string) []string {
	var users []string
	for _, p := range s.with.policies {
		for _, g := range groups {
			users = append(users, firstOf(p.spec.GroupMap[g])...)
		}
	}
	return users
}

func (s *scene) admits(id *Identity, policies []*compiledPolicy, u unit) bool {
	selected := s.with.selectPolicies(&Input{Identity: *id, Namespace: s.namespace})
	for _, p := range policies {
		if !slices.Contains(selected.policies, p) {
			return false
		}
	}
	users, inGroups := u.allowances()
	for i := range users {
		if !permits(users[i], inGroups[i], id.User, selected.groups) {
			return false
		}
	}
	return true
}
