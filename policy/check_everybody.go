package policy

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// tally counts the servers that were tried, and by its place in the checked policy how often an expression failed, and with what.
type tally struct {
	tried  int
	failed map[string]int
	reason map[string]string
}

func (k *checker) count(troubles []trouble) {
	k.tally.tried++
	for i := range troubles {
		t := &troubles[i]
		if t.Policy != nil && sameRef(*t.Policy, k.policy.ref) && verdictOf(t) == doubtful {
			k.tally.failed[t.Field]++
			k.tally.reason[t.Field] = t.Message
		}
	}
}

// refuseForEverybody makes errors of the doubts that aren't about the users who were tried: an expression that failed with all of
// them and asks nothing about a user fails with everybody.
func (k *checker) refuseForEverybody(scenes []*scene) {
	texts := k.policy.textsOfExpressions()
	for _, at := range slices.Sorted(maps.Keys(k.tally.failed)) {
		text, known := textAt(texts, at)
		if !known || k.tally.failed[at] != k.tally.tried || mentionsAny(text, personal) ||
			(mentionsAny(text, []string{"object"}) || strings.HasPrefix(at, "spec.mutations")) && !k.knowsObject(text, scenes) {
			continue
		}
		message := k.tally.reason[at]
		k.warnings = slices.DeleteFunc(k.warnings, func(w string) bool { return strings.HasSuffix(w, at+": "+message) })
		k.refuse(at, "fails for everybody: "+message)
	}
}

// personal is what an expression says that may come out otherwise for somebody else.
var personal = []string{"user", "groups", "server", "options", "profile", "namespaceobject", "hub"}

// individual are fields of a pod that are seldom the same for two users.
var individual = []string{"metadata.name", "annotations", "hostname", "claimname", "subpath"}

func mentionsAny(text string, words []string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// knowsObject: what was seen of the pod is the same for everybody. It isn't where the hub sends the pod, or expressions make it of
// facts about the user; and what a ClusterSpawnPolicy wants of it, SpawnPolicies of later may give.
func (k *checker) knowsObject(text string, scenes []*scene) bool {
	if k.policy.cluster || k.cut || mentionsAny(text, individual) {
		return false
	}
	for _, s := range scenes {
		for _, p := range s.with.policies {
			if p.spec.Skeleton == v1alpha1.SkeletonKeep || len(p.expressions) > 0 {
				return false
			}
			for i := range p.spec.Mutations {
				if mentionsAny(p.spec.Mutations[i].Expression, personal) {
					return false
				}
			}
		}
	}
	return true
}

// textsOfExpressions are those of validations and mutations, by their places.
func (p *compiledPolicy) textsOfExpressions() map[string]string {
	texts, path := map[string]string{}, field.NewPath("spec")
	for i := range p.spec.Validations {
		texts[path.Child("validations").Index(i).String()] = p.spec.Validations[i].Expression
	}
	for i := range p.spec.Mutations {
		texts[path.Child("mutations").Index(i).String()] = p.spec.Mutations[i].Expression
	}
	return texts
}

// textAt finds the expression that stands at a path or somewhere below it.
func textAt(texts map[string]string, at string) (string, bool) {
	item, _, closed := strings.Cut(at, "]")
	text, known := texts[item+"]"]
	return text, known && closed
}
