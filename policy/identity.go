package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	sigsjson "sigs.k8s.io/json"
)

// The keys that a skeleton speaks with; everything else in it isn't identity.
var (
	identityLabels      = []string{LabelHub, LabelUsername, LabelServername}
	identityAnnotations = []string{
		AnnotationUsername, AnnotationServername, AnnotationUserID, AnnotationGroups, AnnotationProfile,
		AnnotationOptions, AnnotationUserAnnotations, AnnotationEnvSecret, AnnotationEnvKeys,
	}
)

// maxIdentity bounds each identity annotation, in bytes: it is read by each request, and nobody's groups and choices are more.
const maxIdentity = 32 << 10

// IsIdentityLabel says whether key is a label that a skeleton speaks with.
func IsIdentityLabel(key string) bool { return slices.Contains(identityLabels, key) }

// IsIdentityAnnotation says whether key is an annotation that a skeleton speaks with.
func IsIdentityAnnotation(key string) bool { return slices.Contains(identityAnnotations, key) }

// IdentityOf reads what a skeleton says about itself. What can't be read is denied, all of it at once.
func IdentityOf(pod *corev1.Pod) (Identity, []Denial) {
	r := identityReader{annotations: pod.Annotations}
	id := Identity{
		Name:      pod.Name,
		Hub:       pod.Labels[LabelHub],
		User:      pod.Annotations[AnnotationUsername],
		Server:    pod.Annotations[AnnotationServername],
		Profile:   pod.Annotations[AnnotationProfile],
		EnvSecret: pod.Annotations[AnnotationEnvSecret],
	}
	if id.Hub == "" {
		r.deny("metadata.labels["+LabelHub+"]", "is empty: it must name the hub")
	}
	if id.User == "" {
		r.deny("metadata.annotations["+AnnotationUsername+"]", "is missing: it must be the user's name")
	}
	if r.boundSizes() {
		return id, r.denials
	}
	if text, ok := pod.Annotations[AnnotationUserID]; ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			r.deny("metadata.annotations["+AnnotationUserID+"]", "must be a whole number")
		}
		id.UserID = &n
	}
	r.read(AnnotationGroups, &id.Groups, `a JSON list of texts, like ["staff"]`)
	r.read(AnnotationOptions, &id.Options, `a JSON map of texts, like {"image":"pytorch"}`)
	r.read(AnnotationUserAnnotations, &id.UserAnnotations, `a JSON map of texts, like {"uid":"1001"}`)
	r.read(AnnotationEnvKeys, &id.EnvKeys, `a JSON list of texts, like ["JUPYTERHUB_USER"]`)
	r.agree(pod, LabelUsername, LabelSlug(id.User))
	r.agree(pod, LabelServername, LabelSlug(id.Server))
	return id, r.denials
}

type identityReader struct {
	annotations map[string]string
	denials     []Denial
}

// boundSizes denies annotations that are too large to be read, and says whether there are any.
func (r *identityReader) boundSizes() bool {
	large := false
	for _, key := range identityAnnotations {
		if n := len(r.annotations[key]); n > maxIdentity {
			r.deny("metadata.annotations["+key+"]", fmt.Sprintf("has %d bytes: at most %d are read", n, maxIdentity))
			large = true
		}
	}
	return large
}

func (r *identityReader) deny(field, message string) {
	r.denials = append(r.denials, Denial{Code: IdentityInvalid, Field: field, Message: message})
}

// read decodes strictly: a key that stands twice would mean one thing here and another elsewhere.
func (r *identityReader) read(key string, into any, want string) {
	text, ok := r.annotations[key]
	if !ok {
		return
	}
	strict, err := sigsjson.UnmarshalStrict([]byte(text), into)
	if err != nil || len(strict) > 0 {
		r.deny("metadata.annotations["+key+"]", "must be "+want+", each name once")
	}
}

// agree: a label that the skeleton has must be the slug of the annotation, which is what counts.
func (r *identityReader) agree(pod *corev1.Pod, key, slug string) {
	if have, ok := pod.Labels[key]; ok && have != slug {
		r.denials = append(r.denials, denyf(IdentityConflict, nil, "metadata.labels["+key+"]",
			"is %q, but the annotation %s gives %q", have, key, slug))
	}
}

// Labels are the labels of this identity's skeleton.
func (id *Identity) Labels() map[string]string {
	return map[string]string{
		LabelHub:        id.Hub,
		LabelUsername:   LabelSlug(id.User),
		LabelServername: LabelSlug(id.Server),
	}
}

// Annotations are the annotations of this identity's skeleton; what is empty is left out.
func (id *Identity) Annotations() map[string]string {
	a := map[string]string{AnnotationUsername: id.User}
	set := func(key, value string, when bool) {
		if when {
			a[key] = value
		}
	}
	set(AnnotationServername, id.Server, id.Server != "")
	set(AnnotationProfile, id.Profile, id.Profile != "")
	set(AnnotationEnvSecret, id.EnvSecret, id.EnvSecret != "")
	set(AnnotationGroups, asJSON(id.Groups), len(id.Groups) > 0)
	set(AnnotationOptions, asJSON(id.Options), len(id.Options) > 0)
	set(AnnotationUserAnnotations, asJSON(id.UserAnnotations), len(id.UserAnnotations) > 0)
	set(AnnotationEnvKeys, asJSON(id.EnvKeys), len(id.EnvKeys) > 0)
	if id.UserID != nil {
		a[AnnotationUserID] = strconv.FormatInt(*id.UserID, 10)
	}
	return a
}

// asJSON encodes text, lists and maps of it and Applied, which can't fail.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// podLabels are those of the fitted pod: KubeSpawner's, and the hub label.
func (x *server) podLabels() map[string]string {
	labels := x.commonLabels(x.s.ExtraLabels)
	maps.Copy(labels, x.ownLabels())
	return labels
}

// ownLabels are those of the pod that neither extra nor common ones replace.
func (x *server) ownLabels() map[string]string {
	labels := x.in.Identity.Labels()
	labels[labelComponentNew] = deref(x.s.ComponentLabel)
	labels[labelComponent] = deref(x.s.ComponentLabel)
	return labels
}

// podAnnotations are those of the fitted pod: identity, the policies that made it, and the policy's own. Those can't say of a
// server what its skeleton left out.
func (x *server) podAnnotations() map[string]string {
	annotations := maps.Clone(x.s.ExtraAnnotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.DeleteFunc(annotations, func(key, _ string) bool { return IsIdentityAnnotation(key) })
	maps.Copy(annotations, x.in.Identity.Annotations())
	annotations[AnnotationApplied] = x.applied()
	x.sayWhereToConnect(annotations)
	return annotations
}

// sayWhereToConnect notes in a pod's annotations where the hub reaches the server, if that isn't the pod's own address: the hub's
// side knows the pod alone.
func (x *server) sayWhereToConnect(annotations map[string]string) {
	s := x.s
	delete(annotations, AnnotationConnect)
	if !isTrue(s.ServicesEnabled) && !isTrue(s.InternalSSL) && deref(s.PodConnectIP) == "" || x.names.DNS == "" || s.Port == nil {
		return
	}
	annotations[AnnotationConnect] = x.origin(x.names.DNS)
}

// union is sorted.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// applied is the value of the annotation that says which policies made the pod.
func (x *server) applied() string {
	renamed := x.renamedClaims()
	if x.names.Claim == x.ownClaim && len(renamed) == 0 && len(x.ownLabelKeys) == 0 && len(x.ownAnnotationKeys) == 0 {
		return x.plan.appliedJSON
	}
	applied := x.plan.applied
	applied.Labels = union(applied.Labels, x.ownLabelKeys)
	applied.Annotations = union(applied.Annotations, x.ownAnnotationKeys)
	if x.names.Claim != x.ownClaim {
		applied.Claim = x.names.Claim
	}
	applied.Claims = renamed
	return asJSON(applied)
}
