package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SpawnPolicy says, for one namespace, what the pods of users' servers are. Whoever runs the namespace
// writes it; a ClusterSpawnPolicy may fix or bound what it says.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=sp,categories=slipway
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Hubs",type=string,JSONPath=`.spec.hubs`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Enforced",type=string,JSONPath=`.status.conditions[?(@.type=="Enforced")].status`
// +kubebuilder:printcolumn:name="Profiles",type=integer,JSONPath=`.status.profiles`
// +kubebuilder:printcolumn:name="Fitted",type=integer,JSONPath=`.status.fitted.count`
// +kubebuilder:printcolumn:name="Last Fitted",type=date,priority=1,JSONPath=`.status.fitted.lastTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="!has(self.spec.namespaceSelector)",message="spec.namespaceSelector belongs to a ClusterSpawnPolicy: a SpawnPolicy is for its own namespace"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.groupMap)",message="spec.groupMap belongs to a ClusterSpawnPolicy: only the platform team may say who is in which group"
type SpawnPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the policy says.
	// +required
	Spec SpawnPolicySpec `json:"spec"`
	// Status is how it fares, written by the webhook.
	// +optional
	Status SpawnPolicyStatus `json:"status,omitempty"`
}

// SpawnPolicyList is a list of SpawnPolicy.
//
// +kubebuilder:object:root=true
type SpawnPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpawnPolicy `json:"items"`
}

// ClusterSpawnPolicy says, for every namespace that it selects, what the pods of users' servers are. The
// platform team writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=csp,categories=slipway
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Hubs",type=string,JSONPath=`.spec.hubs`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Enforced",type=string,JSONPath=`.status.conditions[?(@.type=="Enforced")].status`
// +kubebuilder:printcolumn:name="Profiles",type=integer,JSONPath=`.status.profiles`
// +kubebuilder:printcolumn:name="Fitted",type=integer,JSONPath=`.status.fitted.count`
// +kubebuilder:printcolumn:name="Last Fitted",type=date,priority=1,JSONPath=`.status.fitted.lastTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ClusterSpawnPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the policy says.
	// +required
	Spec SpawnPolicySpec `json:"spec"`
	// Status is how it fares, written by the webhook.
	// +optional
	Status SpawnPolicyStatus `json:"status,omitempty"`
}

// ClusterSpawnPolicyList is a list of ClusterSpawnPolicy.
//
// +kubebuilder:object:root=true
type ClusterSpawnPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterSpawnPolicy `json:"items"`
}

// SpawnPolicySpec is the body that SpawnPolicy and ClusterSpawnPolicy share.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.skeleton) && self.skeleton == 'Keep' && has(self.profiles) && size(self.profiles) > 0)",message="profiles can't be combined with skeleton: Keep, where the pod comes from the hub"
type SpawnPolicySpec struct {
	// Hubs that this policy is for, by the value of the label slipway.dev/hub. Empty: every hub.
	// +optional
	// +listType=set
	Hubs []string `json:"hubs,omitempty"`

	// Users that this policy is for, by unescaped name; * stands for any characters. Empty: every user.
	// +optional
	// +listType=set
	Users []string `json:"users,omitempty"`

	// Groups that this policy is for: a user in any of them. Empty: every user.
	// +optional
	// +listType=set
	Groups []string `json:"groups,omitempty"`

	// MatchConditions are CEL expressions that must all be true for this policy to be used. Variables: user (name, slug,
	// id, annotations), server (name), hub (name), groups, namespaceObject (metadata.name, metadata.labels); user.slug is
	// {safe_username}, a name for objects. One without a value denies the pod, unless another is false. Empty: always.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	MatchConditions []MatchCondition `json:"matchConditions,omitempty"`

	// NamespaceSelector selects namespaces by label; ClusterSpawnPolicy only. Empty: every namespace but
	// kube-system and the one that Slipway runs in.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// Priority orders policies inside a layer: the higher one wins; equal ones go by name, the later wins.
	// +optional
	Priority int32 `json:"priority,omitempty"`

	// Launchers are the accounts that may create skeletons, and what each may assert. Every policy that
	// matches and names any must list the caller. Empty: says nothing; if no matching policy names any,
	// the pod is denied.
	// +optional
	// +listType=atomic
	Launchers []Launcher `json:"launchers,omitempty"`

	// GroupMap gives each group its users, and is then used instead of the hub's word; ClusterSpawnPolicy
	// only. Several policies: union. Empty: the hub's word, within mayAssertGroups.
	// +optional
	GroupMap map[string][]string `json:"groupMap,omitempty"`

	// Skeleton says what happens to anything but identity in the skeleton: Strict denies it, Strip drops it
	// with a warning, Keep starts from the pod as it was sent. The strictest one named by a matching policy
	// holds; Strict where none names one.
	// +optional
	Skeleton SkeletonMode `json:"skeleton,omitempty"`

	// Additions says what other webhooks may add to the fitted pod. The strictest one holds; Allow where
	// none names one.
	// +optional
	Additions *Additions `json:"additions,omitempty"`

	// HubEnv are the patterns (* stands for any characters) of the environment variables that a hub may
	// pass. A variable must fit every policy that names any. Empty: says nothing; none passes if no policy names
	// any, but with skeleton Keep all that the pod has stay.
	// +optional
	// +listType=set
	HubEnv []string `json:"hubEnv,omitempty"`

	// Metadata says which labels and annotations of the skeleton survive.
	// +optional
	Metadata *MetadataRules `json:"metadata,omitempty"`

	// Defaults are settings that profiles, choices and stronger layers may change.
	// +optional
	Defaults *Settings `json:"defaults,omitempty"`

	// Profiles are the choices that a user has. Union over the matching policies; one slug twice is refused.
	// +optional
	// +listType=map
	// +listMapKey=slug
	// +kubebuilder:validation:MaxItems=256
	Profiles []Profile `json:"profiles,omitempty"`

	// Expressions give settings values computed by CEL: by setting, or by one item of it as in unset (uid,
	// environment[COURSE]). Such a value wins over defaults, profiles and choices, not over what is enforced; a namespace's
	// gives way to the cluster's. optional.none() and null say nothing. Variables: those of matchConditions, profile (the
	// chosen slug, "" where there are none) and options (the choice by option). The value is no template.
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	Expressions map[string]string `json:"expressions,omitempty"`

	// Mutations change the built pod, in the form of MutatingAdmissionPolicy: those of namespaces, then the cluster's, then
	// what is enforced is put on once more. Variables: those of expressions and object, the pod so far. Labels and
	// annotations that say who the server is for can't be changed. The lists that mutations add to are there even if empty:
	// volumes, tolerations, initContainers, and env and volumeMounts of containers. With skeleton Keep, applying one twice must give what
	// applying it once gives.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Mutations []Mutation `json:"mutations,omitempty"`

	// Enforced are settings that nothing weaker changes: they are put on the built pod once more at the end.
	// +optional
	Enforced *Settings `json:"enforced,omitempty"`

	// Constraints bound the final pod and deny what is outside; they never change it.
	// +optional
	Constraints *Constraints `json:"constraints,omitempty"`

	// Validations are CEL expressions over the pod that deny it when false: over the fitted one, where what the API server
	// fills in is still missing (object.spec.?x.orValue(y)), and over the final one. Variables: as for mutations.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Validations []Validation `json:"validations,omitempty"`

	// Enforcement: Enforce acts, Audit only reports what this policy would have changed or denied.
	// Empty: Enforce.
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// AdoptClaims: Unlabelled also takes existing claims of this user that carry no hub label. The strictest
	// one holds. Empty: Never.
	// +optional
	AdoptClaims AdoptClaims `json:"adoptClaims,omitempty"`

	// DeleteClaims lets a launcher ask for a user's claim to be deleted. Every policy that is for the user and names it
	// must say true, one at least without groups and matchConditions, which a claim can't meet. Unset: no.
	// +optional
	DeleteClaims *bool `json:"deleteClaims,omitempty"`
}

// SkeletonMode says what happens to what a skeleton carries beside identity.
//
// +kubebuilder:validation:Enum=Strict;Strip;Keep
type SkeletonMode string

// The skeleton modes, strictest first.
const (
	// SkeletonStrict denies a skeleton that carries anything else.
	SkeletonStrict SkeletonMode = "Strict"
	// SkeletonStrip drops the rest, with a warning that names it.
	SkeletonStrip SkeletonMode = "Strip"
	// SkeletonKeep starts from the pod as it was sent.
	SkeletonKeep SkeletonMode = "Keep"
)

// Enforcement is how a policy acts.
//
// +kubebuilder:validation:Enum=Enforce;Audit
type Enforcement string

// The ways in which a policy acts.
const (
	// Enforce changes and denies.
	Enforce Enforcement = "Enforce"
	// Audit only reports what the policy would have changed or denied.
	Audit Enforcement = "Audit"
)

// AdoptClaims says which existing claims may become a user's home.
//
// +kubebuilder:validation:Enum=Never;Unlabelled
type AdoptClaims string

// What may be adopted, strictest first.
const (
	// AdoptNever takes those with the hub's label alone.
	AdoptNever AdoptClaims = "Never"
	// AdoptUnlabelled takes also those that carry no hub label: anybody who may create claims can write whose they are.
	AdoptUnlabelled AdoptClaims = "Unlabelled"
)

// MatchCondition is a named CEL expression that gives a bool.
type MatchCondition struct {
	// Name says in messages which condition is meant.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Expression is CEL that gives a bool.
	// +kubebuilder:validation:MinLength=1
	Expression string `json:"expression"`
}

// Launcher is an account that may create skeletons, and the bounds of what it may assert.
type Launcher struct {
	// ServiceAccount is the account.
	ServiceAccount ServiceAccountRef `json:"serviceAccount"`

	// Hubs that it may launch for. Empty: any.
	// +optional
	// +listType=set
	Hubs []string `json:"hubs,omitempty"`

	// Users that it may launch for; * stands for any characters. Empty: any.
	// +optional
	// +listType=set
	Users []string `json:"users,omitempty"`

	// MayAssertGroups are the groups in which it may say that a user is; * stands for any characters.
	// Empty: none.
	// +optional
	// +listType=set
	MayAssertGroups []string `json:"mayAssertGroups,omitempty"`
}

// ServiceAccountRef names a service account.
type ServiceAccountRef struct {
	// Namespace of the account.
	// +kubebuilder:validation:MinLength=1
	Namespace string `json:"namespace"`
	// Name of the account.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
}

// AdditionsMode says what may be added after the webhook.
//
// +kubebuilder:validation:Enum=Allow;Listed;Deny
type AdditionsMode string

// What may be added after the webhook, strictest last.
const (
	// AdditionsAllow lets everything be added that what is enforced and constraints leave free.
	AdditionsAllow AdditionsMode = "Allow"
	// AdditionsListed lets only what names lists be added.
	AdditionsListed AdditionsMode = "Listed"
	// AdditionsDeny lets nothing be added.
	AdditionsDeny AdditionsMode = "Deny"
)

// Additions says what other webhooks may add to a fitted pod.
type Additions struct {
	// Mode says whether all, those listed or none may be added.
	Mode AdditionsMode `json:"mode"`
	// Names of containers, volumes, labels and annotations that may be added; with mode Listed.
	// +optional
	// +listType=set
	Names []string `json:"names,omitempty"`
}

// MetadataRules say which labels and annotations of the skeleton survive. Patterns: * stands for any characters.
type MetadataRules struct {
	// Allow are the keys that survive. Several policies: a key must fit each that names any. Empty: none.
	// +optional
	// +listType=set
	Allow []string `json:"allow,omitempty"`
	// Deny are keys that never survive, with skeleton Keep. Several policies: union.
	// +optional
	// +listType=set
	Deny []string `json:"deny,omitempty"`
}

// Profile is one thing that a user may choose to start.
type Profile struct {
	// Slug is the name by which it is chosen.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Slug string `json:"slug"`
	// DisplayName is what a form shows. Empty: the slug.
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// Description that a form shows below it.
	// +optional
	Description string `json:"description,omitempty"`
	// Default: used when the user chose none. Where no profile says so, the first in order is the default.
	// +optional
	Default bool `json:"default,omitempty"`
	// AllowedGroups: a user in any of them may choose it. Empty together with allowedUsers: everybody.
	// +optional
	// +listType=set
	AllowedGroups []string `json:"allowedGroups,omitempty"`
	// AllowedUsers may choose it; * stands for any characters.
	// +optional
	// +listType=set
	AllowedUsers []string `json:"allowedUsers,omitempty"`
	// Settings are merged over the defaults of every policy.
	// +optional
	Settings *Settings `json:"settings,omitempty"`
	// Options is a list of ProfileOption, or a map of them by name, which is then ordered by name.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Options *apiextensionsv1.JSON `json:"options,omitempty"`
}

// ProfileOption is one question of a profile.
type ProfileOption struct {
	// Name by which it is answered.
	Name string `json:"name"`
	// DisplayName is what a form shows. Empty: the name.
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// Choices is a list of ProfileChoice, or a map of them by name, which is then ordered by name. The first
	// is the default where none says so.
	// +optional
	Choices *apiextensionsv1.JSON `json:"choices,omitempty"`
	// UnlistedChoice lets the user type a value. Unset: not allowed.
	// +optional
	UnlistedChoice *UnlistedChoice `json:"unlistedChoice,omitempty"`
}

// ProfileChoice is one answer to a ProfileOption.
type ProfileChoice struct {
	// Name by which it is chosen.
	Name string `json:"name"`
	// DisplayName is what a form shows. Empty: the name.
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// Default: used when the user chose none.
	// +optional
	Default bool `json:"default,omitempty"`
	// AllowedGroups: a user in any of them may choose it. Empty together with allowedUsers: everybody.
	// +optional
	AllowedGroups []string `json:"allowedGroups,omitempty"`
	// AllowedUsers may choose it; * stands for any characters.
	// +optional
	AllowedUsers []string `json:"allowedUsers,omitempty"`
	// Settings are merged over the profile's, in the order of the options.
	// +optional
	Settings *Settings `json:"settings,omitempty"`
}

// UnlistedChoice is an answer that the user types.
type UnlistedChoice struct {
	// DisplayName is what a form shows beside the field.
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// DisplayNameInChoices is what a form shows among the choices.
	// +optional
	DisplayNameInChoices string `json:"displayNameInChoices,omitempty"`
	// ValidationRegex must match the whole value (RE2 syntax). Empty: any value.
	// +optional
	ValidationRegex string `json:"validationRegex,omitempty"`
	// ValidationMessage is what a user reads whose value doesn't match.
	// +optional
	ValidationMessage string `json:"validationMessage,omitempty"`
	// AllowedGroups: a user in any of them may type a value. Empty together with allowedUsers: everybody.
	// +optional
	AllowedGroups []string `json:"allowedGroups,omitempty"`
	// AllowedUsers may type a value; * stands for any characters.
	// +optional
	AllowedUsers []string `json:"allowedUsers,omitempty"`
	// Settings is a Settings block, where {value} in a string stands for what the user typed; so it is read
	// when a value is there.
	// +optional
	Settings *apiextensionsv1.JSON `json:"settings,omitempty"`
}

// Mutation changes the built pod; the form is that of MutatingAdmissionPolicy.
type Mutation struct {
	// PatchType says what the expression gives: JSONPatch operations, or an ApplyConfiguration.
	// +kubebuilder:validation:Enum=JSONPatch;ApplyConfiguration
	PatchType string `json:"patchType"`
	// Expression is CEL that gives a list of JSONPatch, or an Object.
	// +kubebuilder:validation:MinLength=1
	Expression string `json:"expression"`
}

// Validation denies the final pod when its expression is false; the form is that of ValidatingAdmissionPolicy.
type Validation struct {
	// Expression is CEL that gives a bool.
	// +kubebuilder:validation:MinLength=1
	Expression string `json:"expression"`
	// Message is what a denied user reads. Empty: one that quotes the expression.
	// +optional
	Message string `json:"message,omitempty"`
	// MessageExpression is CEL that gives the message, in one line of text; where it gives none, Message is said.
	// +optional
	MessageExpression string `json:"messageExpression,omitempty"`
}

// Constraints bound the final pod.
type Constraints struct {
	// MemLimit bounds the sum of memory limits.
	// +optional
	MemLimit *Bound `json:"memLimit,omitempty"`
	// MemGuarantee bounds the sum of memory requests.
	// +optional
	MemGuarantee *Bound `json:"memGuarantee,omitempty"`
	// CPULimit bounds the sum of CPU limits.
	// +optional
	CPULimit *Bound `json:"cpuLimit,omitempty"`
	// CPUGuarantee bounds the sum of CPU requests.
	// +optional
	CPUGuarantee *Bound `json:"cpuGuarantee,omitempty"`
	// ExtraResourceLimits bound extended resources, and ephemeral-storage, by name.
	// +optional
	ExtraResourceLimits map[string]Bound `json:"extraResourceLimits,omitempty"`
	// Image says which images are allowed. Absent: any.
	// +optional
	Image *ImageRule `json:"image,omitempty"`
	// PodSecurity is the Pod Security Standard that the final pod must meet, latest version.
	// +optional
	PodSecurity PodSecurityLevel `json:"podSecurity,omitempty"`
}

// Bound is a maximum for the pod's effective total, init containers as the scheduler counts them. A container
// without a limit on cpu, memory or ephemeral-storage violates it; without one on an extended resource it uses none.
type Bound struct {
	// Max is the most that is allowed; what is equal is.
	// +required
	Max *resource.Quantity `json:"max"`
}

// ImageRule says which images any container of the pod, and any image volume, may have.
type ImageRule struct {
	// Allow are patterns of the whole reference as written in the pod; * stands for any characters.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	Allow []string `json:"allow"`
}

// PodSecurityLevel is a Pod Security Standard.
//
// +kubebuilder:validation:Enum=privileged;baseline;restricted
type PodSecurityLevel string

// The conditions of a policy.
const (
	// ConditionReady is True where pods can be fitted by the policy as it is written. Where it is False, the pods that the
	// policy matches are denied. It speaks of this policy alone: what two policies can't both say shows in the pods' denials.
	ConditionReady = "Ready"
	// ConditionEnforced is True once no replica of the webhook answers by an older generation of the policy.
	ConditionEnforced = "Enforced"
)

// The reasons of ConditionReady.
const (
	// ReasonValid: nothing is wrong with the policy.
	ReasonValid = "Valid"
	// ReasonInvalid: the message has the path of what is wrong, and a sentence.
	ReasonInvalid = "Invalid"
	// ReasonUnreadable: the webhook can't read the policy, and so can't tell whom it is for: every pod of its namespace, or of
	// the cluster, is denied.
	ReasonUnreadable = "Unreadable"
)

// The reasons of ConditionEnforced.
const (
	// ReasonPropagating: not every replica has said that it answers by this generation, or not long enough ago.
	ReasonPropagating = "Propagating"
	// ReasonAllReplicas answer by this generation.
	ReasonAllReplicas = "AllReplicas"
)

// SpawnPolicyStatus says how a policy fares. The webhook writes it, and corrects what others write there.
type SpawnPolicyStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready, that pods can be fitted by the policy as it is written, where False the pods that it matches are denied;
	// Enforced, that no replica of the webhook answers by an older generation of it.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Profiles is how many profiles this policy offers. Unset: the policy can't be read, or wasn't yet.
	// +optional
	Profiles *int32 `json:"profiles,omitempty"`
	// Fitted counts the pods that this policy had a part in fitting. Unset: it wasn't counted yet.
	// +optional
	Fitted *FittedPods `json:"fitted,omitempty"`
}

// FittedPods counts pods over a window that ends now. It is for people to read, about right and up to a minute old: what a
// replica of the webhook counted goes with that replica, and a pod that is refused after the webhook (by a quota) counts.
type FittedPods struct {
	// Count is the number of pods that were fitted in the window; pods leave it in steps of five minutes. 0: none.
	Count int64 `json:"count"`
	// Window is the length of time that count is about.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}[hms]){1,3}$`
	Window metav1.Duration `json:"window"`
	// LastTime is when a pod was fitted last, in the window or before. Unset: none is known of.
	// +optional
	LastTime *metav1.Time `json:"lastTime,omitempty"`
}
