package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// doubtful warns of what stands in the policy itself and is seldom meant.
func (k *checker) doubtful() {
	p := k.policy
	blocks := []block{p.defaults}
	for _, profile := range p.profiles {
		blocks = append(blocks, profile.settings)
		for _, o := range profile.options {
			for _, c := range o.choices {
				blocks = append(blocks, c.settings)
			}
			if o.unlisted != nil {
				blocks = append(blocks, o.unlisted.settings)
			}
		}
	}
	for _, b := range append(blocks, p.enforced) {
		for _, name := range slices.Sorted(maps.Keys(b.tree)) {
			if slices.Contains(podPieces, name) {
				k.doubt(name, b.tree[name], b.path.Child(name))
			}
		}
	}
}

// podPieces are the settings that hold pieces of a pod in which something may be doubtful.
var podPieces = []string{
	"image", "privileged", "containerSecurityContext", "volumes", "initContainers", "extraContainers", "extraContainerConfig", "extraPodConfig",
}

// doubt looks through a piece of a pod.
func (k *checker) doubt(name string, value any, path *field.Path) {
	switch v := value.(type) {
	case bool:
		if name == "privileged" && v {
			k.warn(path.String(), "a privileged container can do on the node whatever root can: take it out, or add the capability that is needed")
		}
	case string:
		if (name == "image" || name == "reference") && isLatest(v) {
			k.warn(path.String(), fmt.Sprintf("image %q may be another one tomorrow: name a tag other than latest, or a digest", v))
		}
	case []any:
		for i, item := range v {
			k.doubt("", item, path.Index(i))
		}
	case tree:
		if name == "hostPath" {
			k.warn(path.String(), "a folder of the node is shared with the node and with all other pods that mount it: use a claim, unless that is meant")
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if name == "rbd" && key == "image" {
				continue // a disk
			}
			k.doubt(key, v[key], childOrKey(path, key))
		}
	}
}

// isLatest: without a tag, too, it is the latest.
func isLatest(image string) bool {
	if image == "" || strings.ContainsAny(image, "@{") {
		return false
	}
	_, tag, tagged := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return !tagged || tag == "latest"
}

// unreachable warns of a profile or choice that no user was found for.
func (k *checker) unreachable(s *scene, u unit) {
	if u.profile == nil || u.profile.policy != k.policy {
		return
	}
	k.warn(u.path, "nobody can choose it: no user whom this policy is for is among its allowedUsers and allowedGroups, as far as groupMap tells in "+s.title)
}

// look finds what is doubtful about a server that can be made.
func (k *checker) look(s *scene, t trial) {
	if !t.ordinary {
		return
	}
	k.lookForHome(s, t)
	if l, ok := s.locator(t.identity); ok {
		k.lookForHidden(l)
	}
	if t.unit.profile != nil && t.unit.profile.policy == k.policy && t.unit.option == nil {
		k.lookForGroups(s, t.unit.profile)
	}
}

// lookForHome: what the defaults mount of a claim is a home, and a profile whose list of volumes replaces theirs loses it.
func (k *checker) lookForHome(s *scene, t trial) {
	if t.unit.profile == nil || t.unit.profile.policy != k.policy {
		return
	}
	with, err := s.with.Apply(s.input(s.with, t.identity))
	plain := s.variant(plainProfiles)
	before, beforeErr := plain.Apply(s.input(plain, t.identity))
	if err != nil || beforeErr != nil || with.Pod == nil || before.Pod == nil {
		return
	}
	after := claimMounts(with.Pod)
	for _, m := range claimMounts(before.Pod) {
		if !slices.Contains(after, m) {
			k.warn(t.unit.path, fmt.Sprintf("loses the home at %s: its settings leave out volume %s with claim %s, which the defaults mount; write volumes and volumeMounts as maps, or list it too", m.at, m.volume, m.claim))
		}
	}
}

// claimMount is a claim that the notebook mounts.
type claimMount struct{ at, volume, claim string }

func claimMounts(pod *corev1.Pod) []claimMount {
	claims := map[string]string{}
	for i := range pod.Spec.Volumes {
		if c := pod.Spec.Volumes[i].PersistentVolumeClaim; c != nil {
			claims[pod.Spec.Volumes[i].Name] = c.ClaimName
		}
	}
	var mounts []claimMount
	for i := range notebook(pod).VolumeMounts {
		m := &notebook(pod).VolumeMounts[i]
		if claim, is := claims[m.Name]; is {
			mounts = append(mounts, claimMount{mountPath(m), m.Name, claim})
		}
	}
	return mounts
}

// lookForHidden: a list means exactly these, so that another policy's are gone.
func (k *checker) lookForHidden(l *locator) {
	for _, setting := range slices.Sorted(maps.Keys(l.said.below)) {
		o, hides := l.said.below[setting].list, l.said.below[setting].hides
		if o == nil || o.Policy == nil {
			continue
		}
		switch definitions[setting].shape {
		case byName, byMountPath, anonymous:
		case plain, mapping:
			continue
		}
		for _, weaker := range hides {
			if weaker.Policy == nil || sameRef(*weaker.Policy, *o.Policy) {
				continue
			}
			switch {
			case sameRef(*o.Policy, k.policy.ref):
				k.warn(o.Path, "this list hides "+weaker.Policy.String()+", "+weaker.Path+": write a map to have both")
			case sameRef(*weaker.Policy, k.policy.ref):
				k.warn(weaker.Path, "is hidden by the list of "+o.Policy.String()+", "+o.Path)
			}
		}
	}
}

// lookForGroups: a group that nobody may be said to be in admits nobody.
func (k *checker) lookForGroups(s *scene, profile *compiledProfile) {
	if len(profile.spec.AllowedGroups) == 0 || len(profile.spec.AllowedUsers) > 0 || !s.launches() {
		return
	}
	for _, p := range s.with.policies {
		if p.spec.GroupMap != nil || len(p.spec.Launchers) == 0 {
			continue
		}
		if !slices.ContainsFunc(profile.spec.AllowedGroups, func(g string) bool { return mayAssert(p.spec.Launchers, g) }) {
			k.warn(profile.path.Child("allowedGroups").String(),
				"nobody can choose it: no launcher of "+p.ref.String()+" may say that a user is in one of these groups; see mayAssertGroups there")
		}
	}
}

func mayAssert(launchers []v1alpha1.Launcher, group string) bool {
	return slices.ContainsFunc(launchers, func(l v1alpha1.Launcher) bool { return matchesAny(l.MayAssertGroups, group) })
}
