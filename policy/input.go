package policy

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Input is everything that the fitted pod is computed from, beside the policies. The engine asks nobody else.
type Input struct {
	// Identity is what the skeleton says about itself.
	Identity Identity
	// Namespace that the pod is created in.
	Namespace Namespace
	// Caller is the account that creates the skeleton, as in userInfo.username of the request
	// ("system:serviceaccount:jupyter:hub"). Empty: an account that policy lists is assumed (offline use).
	Caller string
	// Claims are those that exist in the namespace; nil where none do.
	Claims Claims
	// Claim is the claim that was chosen when the pod was fitted, "" the template's own; nil: choose. It is taken only if it
	// is one that could be chosen by Claims too.
	Claim *string
	// MoreClaims are those that were chosen for the setting claims, by its keys, where they weren't the template's own; they
	// count where Claim isn't nil.
	MoreClaims map[string]string
	// Sent is the pod as the caller sent it; only skeleton mode Keep builds on it. May be nil.
	Sent *corev1.Pod
	// Surplus are the field paths of Sent that are neither identity nor a bare skeleton's (see Surplus); Strict
	// denies them, Strip names them in a warning.
	Surplus []string
	// Shape are the denials of Surplus, for what no mode but Keep admits.
	Shape []Denial
	// Refused are the denials that hold whatever a policy says (see IdentityOf and Owned), as long as one is enforced.
	Refused []Denial
	// Provenance asks for Result.Provenance and Result.Fields; it costs a second, slower pass.
	Provenance bool
	// anyCaller: whoever creates the skeleton may say all that it says.
	anyCaller bool
}

// Claims are the claims of one namespace, with their metadata alone. Answers must not change while a pod is fitted.
type Claims interface {
	// Of gives those whose annotation names this user, in any order.
	Of(user string) []*metav1.PartialObjectMetadata
	// Named gives the one of this name; nil where there is none.
	Named(name string) *metav1.PartialObjectMetadata
}

// ClaimList are claims in memory.
type ClaimList []metav1.PartialObjectMetadata

// Of gives those of a user.
func (l ClaimList) Of(user string) []*metav1.PartialObjectMetadata {
	var of []*metav1.PartialObjectMetadata
	for i := range l {
		if l[i].Annotations[AnnotationUsername] == user {
			of = append(of, &l[i])
		}
	}
	return of
}

// Named gives the one of this name.
func (l ClaimList) Named(name string) *metav1.PartialObjectMetadata {
	for i := range l {
		if l[i].Name == name {
			return &l[i]
		}
	}
	return nil
}

// Namespace is what the engine knows of the pod's namespace.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// labelled are the labels with the one that the API server gives to every namespace: files and command lines leave it out.
func (n Namespace) labelled() map[string]string {
	if n.Name == "" || n.Labels[corev1.LabelMetadataName] == n.Name {
		return n.Labels
	}
	set := make(map[string]string, len(n.Labels)+1)
	maps.Copy(set, n.Labels)
	set[corev1.LabelMetadataName] = n.Name
	return set
}

// Identity is what a skeleton says about itself: who the server is for. It is the only thing that a hub decides.
type Identity struct {
	// Name of the pod; must equal the policy's expanded podNameTemplate. Empty offline: the template's is taken.
	Name string
	// Hub is the value of the label slipway.dev/hub.
	Hub string
	// User is the unescaped user name.
	User string
	// Server is the unescaped server name; "" is the default server.
	Server string
	// UserID is the hub's own number of the user; nil where the hub gave none, and {userid} is then an error.
	UserID *int64
	// Groups that the hub says the user is in.
	Groups []string
	// Profile slug that the user chose; "" for the default one.
	Profile string
	// Options of the profile: option name to choice, or to NAME--unlisted-choice for what the user typed.
	Options map[string]string
	// UserAnnotations are further facts about the user, for expressions.
	UserAnnotations map[string]string
	// EnvSecret is the Secret that holds the hub's environment, and EnvKeys its keys.
	EnvSecret string
	EnvKeys   []string
	// Env is the hub's environment in plain text, instead of EnvSecret; offline use and skeleton mode Keep.
	Env map[string]string
}

// Result is what the engine computed. With Denials the pod is refused, and Pod and claims are nil.
type Result struct {
	// Pod is the fitted pod.
	Pod *corev1.Pod
	// Claim is the home claim that has to exist for the pod; nil where policy asks for none.
	Claim *corev1.PersistentVolumeClaim
	// MoreClaims are those of the setting claims, in the order of its keys.
	MoreClaims []*corev1.PersistentVolumeClaim
	// Names are the names that go with this server.
	Names Names
	// Kept: Pod is Input.Sent, changed (skeleton mode Keep); see Patch.
	Kept bool
	// Untouched: only audited policies match, so nothing is done: Pod is Input.Sent itself, or a bare skeleton where that is nil.
	Untouched bool
	// Denials are all the reasons to refuse the pod, in a stable order.
	Denials []Denial
	// Audit is what would be otherwise if the audited policies that match were enforced; nil where none matches. It may stand
	// beside denials.
	Audit *AuditReport
	// Warnings for the caller, at most 256 bytes each.
	Warnings []string
	// Applied are the policies that were used, weakest first, and their hash.
	Applied Applied
	// Provenance says where each setting came from; only where Input.Provenance asked for it.
	Provenance []Origin
	// Fields says who set each field of the pod and the claims; only where Input.Provenance asked for it.
	Fields []Field

	// refused is what constraints refuse; nil without such a denial.
	refused *Result
}

// Names are the names that belong to one server.
type Names struct {
	Pod, Claim, Secret, Namespace string
	// DNS is the server's host name, where the hub reaches it by name.
	DNS string
}

// Applied says which policies made a pod; it is the value of the annotation slipway.dev/applied.
type Applied struct {
	Policies []PolicyRef `json:"policies"`
	// Hash of the policies' specs, 16 hex digits.
	Hash string `json:"hash"`
	// Labels and Annotations are the keys that policy gave the pod, sorted: while it runs they don't change.
	Labels      []string `json:"labels,omitempty"`
	Annotations []string `json:"annotations,omitempty"`
	// Claim is the home claim where it isn't the one of pvcNameTemplate.
	Claim string `json:"claim,omitempty"`
	// Claims are those of the setting claims, by its keys, where they aren't those of nameTemplate.
	Claims map[string]string `json:"claims,omitempty"`
}

// PolicyRef names a policy at one generation. Namespace is empty for a ClusterSpawnPolicy.
type PolicyRef struct {
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	Generation int64  `json:"generation,omitempty"`
}

// String is "ClusterSpawnPolicy NAME" or "SpawnPolicy NAMESPACE/NAME".
func (r PolicyRef) String() string {
	if r.Namespace == "" {
		return "ClusterSpawnPolicy " + r.Name
	}
	return "SpawnPolicy " + r.Namespace + "/" + r.Name
}

// Origin says who set one setting or field.
type Origin struct {
	// Setting is its path in the settings: nodeSelector[pool]; empty where no setting gave the field.
	Setting string `json:"setting,omitempty"`
	// Lands is where it stands in the pod or claim: spec.nodeSelector. Of a field it is empty.
	Lands string `json:"lands,omitempty"`
	// Layer is one of the layers of settings (built-in defaults, cluster defaults, namespace defaults, profile, choice, expression,
	// namespace enforced, cluster enforced), or for a field also mutation, identity (what the hub says of the server) or hub's pod.
	Layer string `json:"layer"`
	// Value that it gave, before templates are filled in; empty where that may be a secret, or is a whole structure.
	Value string `json:"value,omitempty"`
	// Policy is nil for the built-in defaults.
	Policy *PolicyRef `json:"policy,omitempty"`
	// Path of the value inside that policy: spec.defaults.nodeSelector[pool].
	Path string `json:"path,omitempty"`
	// Overrode are the weaker origins of the same setting, strongest first.
	Overrode []Origin `json:"overrode,omitempty"`
}
