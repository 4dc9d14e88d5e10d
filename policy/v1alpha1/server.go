package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Settings is a block of settings: values, and what it takes away from weaker layers.
type Settings struct {
	Server `json:",inline"`

	// Unset takes settings of weaker layers away, before the block's own values: nodeSelector,
	// environment[DEBUG], volumes[home], nodeSelector[kubernetes.io/arch]. In enforced they stay away.
	// +optional
	// +listType=set
	Unset []string `json:"unset,omitempty"`
}

// Server is every KubeSpawner trait that shapes a pod, a claim or their metadata, with Kubernetes' own values.
// A field that is absent says nothing; an empty list or map means exactly none.
type Server struct {
	// Image of the notebook container.
	// +optional
	Image *string `json:"image,omitzero"`
	// ImagePullPolicy of the notebook container. Absent: Kubernetes' own, which goes by the image's tag.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy *corev1.PullPolicy `json:"imagePullPolicy,omitzero"`
	// ImagePullSecrets: Secret names, or {name: NAME}.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	ImagePullSecrets *apiextensionsv1.JSON `json:"imagePullSecrets,omitzero"`
	// Cmd and then args become the notebook container's args: the image's entrypoint still runs. Empty: the
	// image's own command, and args are dropped.
	// +optional
	// +listType=atomic
	Cmd []string `json:"cmd,omitzero"`
	// Args are appended to cmd.
	// +optional
	// +listType=atomic
	Args []string `json:"args,omitzero"`
	// IP that the server listens on. Default 0.0.0.0.
	// +optional
	IP *string `json:"ip,omitzero"`
	// Port that the server listens on. Default 8888.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitzero"`
	// WorkingDir of the notebook container; a template.
	// +optional
	WorkingDir *string `json:"workingDir,omitzero"`
	// DefaultURL is the page that a user sees first: JUPYTERHUB_DEFAULT_URL.
	// +optional
	DefaultURL *string `json:"defaultUrl,omitzero"`
	// NotebookDir is the server's root folder: JUPYTERHUB_ROOT_DIR.
	// +optional
	NotebookDir *string `json:"notebookDir,omitzero"`
	// Debug sets JUPYTERHUB_DEBUG.
	// +optional
	Debug *bool `json:"debug,omitzero"`
	// DisableUserConfig sets JUPYTERHUB_DISABLE_USER_CONFIG.
	// +optional
	DisableUserConfig *bool `json:"disableUserConfig,omitzero"`
	// Environment of the notebook container: variable to text (a template), or to {value} or {valueFrom}.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Environment *apiextensionsv1.JSON `json:"environment,omitzero"`

	// MemLimit is the notebook container's memory limit.
	// +optional
	MemLimit *resource.Quantity `json:"memLimit,omitzero"`
	// MemGuarantee is the notebook container's memory request.
	// +optional
	MemGuarantee *resource.Quantity `json:"memGuarantee,omitzero"`
	// CPULimit is the notebook container's CPU limit.
	// +optional
	CPULimit *resource.Quantity `json:"cpuLimit,omitzero"`
	// CPUGuarantee is the notebook container's CPU request.
	// +optional
	CPUGuarantee *resource.Quantity `json:"cpuGuarantee,omitzero"`
	// ExtraResourceLimits are merged over the limits of the notebook container.
	// +optional
	ExtraResourceLimits map[string]resource.Quantity `json:"extraResourceLimits,omitzero"`
	// ExtraResourceGuarantees are merged over the requests of the notebook container.
	// +optional
	ExtraResourceGuarantees map[string]resource.Quantity `json:"extraResourceGuarantees,omitzero"`

	// UID is the notebook container's runAsUser.
	// +optional
	// +kubebuilder:validation:Minimum=0
	UID *int64 `json:"uid,omitzero"`
	// GID is the notebook container's runAsGroup.
	// +optional
	// +kubebuilder:validation:Minimum=0
	GID *int64 `json:"gid,omitzero"`
	// FsGID is the pod's fsGroup.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FsGID *int64 `json:"fsGid,omitzero"`
	// SupplementalGIDs are the pod's supplementalGroups.
	// +optional
	// +listType=atomic
	SupplementalGIDs []int64 `json:"supplementalGids,omitzero"`
	// Privileged runs the notebook container privileged; enforced false holds for every container.
	// +optional
	Privileged *bool `json:"privileged,omitzero"`
	// AllowPrivilegeEscalation of the notebook container, default false; enforced it holds for every container.
	// +optional
	AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation,omitzero"`
	// ContainerSecurityContext (SecurityContext) is put over uid, gid, privileged and allowPrivilegeEscalation.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	ContainerSecurityContext *apiextensionsv1.JSON `json:"containerSecurityContext,omitzero"`
	// PodSecurityContext (PodSecurityContext) is put over fsGid and supplementalGids.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	PodSecurityContext *apiextensionsv1.JSON `json:"podSecurityContext,omitzero"`
	// ServiceAccount of the pod; a template. Without one, and without automountServiceAccountToken, no token is mounted.
	// +optional
	ServiceAccount *string `json:"serviceAccount,omitzero"`
	// AutomountServiceAccountToken says whether the service account's token is mounted. Absent: only where serviceAccount is given.
	// +optional
	AutomountServiceAccountToken *bool `json:"automountServiceAccountToken,omitzero"`

	// Volumes (Volume), as a list or a map; templates.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Volumes *apiextensionsv1.JSON `json:"volumes,omitzero"`
	// VolumeMounts (VolumeMount) of the notebook container, as a list or a map; templates.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	VolumeMounts *apiextensionsv1.JSON `json:"volumeMounts,omitzero"`
	// InitContainers (Container), as a list or a map; templates.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	InitContainers *apiextensionsv1.JSON `json:"initContainers,omitzero"`
	// ExtraContainers (Container) beside the notebook, as a list or a map; templates.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	ExtraContainers *apiextensionsv1.JSON `json:"extraContainers,omitzero"`
	// LifecycleHooks (Lifecycle) of the notebook container.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	LifecycleHooks *apiextensionsv1.JSON `json:"lifecycleHooks,omitzero"`
	// ExtraContainerConfig (Container) replaces whole fields of the notebook container.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	ExtraContainerConfig *apiextensionsv1.JSON `json:"extraContainerConfig,omitzero"`
	// ExtraPodConfig (PodSpec) replaces whole fields of the pod's spec, last of all; templates.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	ExtraPodConfig *apiextensionsv1.JSON `json:"extraPodConfig,omitzero"`

	// NodeSelector of the pod: labels that its node has.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitzero"`
	// Tolerations (Toleration), as a list or a map.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Tolerations *apiextensionsv1.JSON `json:"tolerations,omitzero"`
	// NodeAffinityPreferred (PreferredSchedulingTerm), as a list or a map.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	NodeAffinityPreferred *apiextensionsv1.JSON `json:"nodeAffinityPreferred,omitzero"`
	// NodeAffinityRequired (NodeSelectorTerm), as a list or a map.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	NodeAffinityRequired *apiextensionsv1.JSON `json:"nodeAffinityRequired,omitzero"`
	// PodAffinityPreferred (WeightedPodAffinityTerm), as a list or a map.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	PodAffinityPreferred *apiextensionsv1.JSON `json:"podAffinityPreferred,omitzero"`
	// PodAffinityRequired (PodAffinityTerm), as a list or a map.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	PodAffinityRequired *apiextensionsv1.JSON `json:"podAffinityRequired,omitzero"`
	// PodAntiAffinityPreferred (WeightedPodAffinityTerm), as a list or a map.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	PodAntiAffinityPreferred *apiextensionsv1.JSON `json:"podAntiAffinityPreferred,omitzero"`
	// PodAntiAffinityRequired (PodAffinityTerm), as a list or a map.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	PodAntiAffinityRequired *apiextensionsv1.JSON `json:"podAntiAffinityRequired,omitzero"`
	// SchedulerName is the scheduler that places the pod. Absent: the cluster's default one.
	// +optional
	SchedulerName *string `json:"schedulerName,omitzero"`
	// PriorityClassName of the pod, which is to exist. Absent: the cluster's default class, if there is one.
	// +optional
	PriorityClassName *string `json:"priorityClassName,omitzero"`

	// StoragePVCEnsure: a home claim is made, unless it exists, for a pod with a volume that names it, as {pvc_name}.
	// +optional
	StoragePVCEnsure *bool `json:"storagePvcEnsure,omitzero"`
	// StorageCapacity that the home claim asks for. Needed where one is made.
	// +optional
	StorageCapacity *resource.Quantity `json:"storageCapacity,omitzero"`
	// StorageClass of the claim; "" switches dynamic provisioning off. Absent: the cluster's default.
	// +optional
	StorageClass *string `json:"storageClass,omitzero"`
	// StorageAccessModes of the claim. Default ReadWriteOnce.
	// +optional
	// +listType=atomic
	StorageAccessModes []corev1.PersistentVolumeAccessMode `json:"storageAccessModes,omitzero"`
	// StorageSelector (LabelSelector) of the claim; templates.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	StorageSelector *apiextensionsv1.JSON `json:"storageSelector,omitzero"`
	// StorageExtraLabels of the home claim; templates.
	// +optional
	StorageExtraLabels map[string]string `json:"storageExtraLabels,omitzero"`
	// StorageExtraAnnotations of the home claim; templates.
	// +optional
	StorageExtraAnnotations map[string]string `json:"storageExtraAnnotations,omitzero"`
	// Claims are more claims of the server beside its home, by a name for each: a claim is made for a pod with a volume
	// that names it as nameTemplate does. KubeSpawner has none.
	// +optional
	Claims map[string]Claim `json:"claims,omitzero"`

	// SlugScheme says what {username}, {servername} and {user_server} are. Default safe.
	// +optional
	// +kubebuilder:validation:Enum=safe;escape
	SlugScheme *string `json:"slugScheme,omitzero"`
	// PodNameTemplate: default jupyter-{user_server}. The skeleton's name must equal it.
	// +optional
	PodNameTemplate *string `json:"podNameTemplate,omitzero"`
	// PVCNameTemplate: default claim-{user_server}.
	// +optional
	PVCNameTemplate *string `json:"pvcNameTemplate,omitzero"`
	// SecretNameTemplate is the name of the internal TLS Secret. Default {pod_name}.
	// +optional
	SecretNameTemplate *string `json:"secretNameTemplate,omitzero"`
	// DNSNameTemplate is the server's host name; only {name} and {namespace}. Default
	// {name}.{namespace}.svc.cluster.local.
	// +optional
	DNSNameTemplate *string `json:"dnsNameTemplate,omitzero"`
	// PodConnectIP is the host under which the hub reaches the server, instead of the pod's address; a template.
	// +optional
	PodConnectIP *string `json:"podConnectIp,omitzero"`
	// HandleLegacyNames looks for a claim under the name of the escape scheme. Default true.
	// +optional
	HandleLegacyNames *bool `json:"handleLegacyNames,omitzero"`
	// RememberPVCName keeps the claim that a user already has when the template changes. Default true.
	// +optional
	RememberPVCName *bool `json:"rememberPvcName,omitzero"`
	// ServicesEnabled: each server gets a Service of the pod's name, and the hub reaches it by DNS.
	// +optional
	ServicesEnabled *bool `json:"servicesEnabled,omitzero"`
	// InternalSSL mounts the server's TLS Secret and names its files in the environment.
	// +optional
	InternalSSL *bool `json:"internalSsl,omitzero"`
	// SecretMountPath is where the TLS Secret is mounted. Default /etc/jupyterhub/ssl/.
	// +optional
	SecretMountPath *string `json:"secretMountPath,omitzero"`
	// Namespace in which servers are started; it has to be there. A template; meant for an expression, by which teams'
	// servers go to their team's. It goes before enableUserNamespaces. Absent or empty: policy doesn't say.
	// +optional
	Namespace *string `json:"namespace,omitzero"`
	// EnableUserNamespaces: each user's servers live in a namespace of their own.
	// +optional
	EnableUserNamespaces *bool `json:"enableUserNamespaces,omitzero"`
	// UserNamespaceTemplate is that namespace's name. Default {hubnamespace}-{username}.
	// +optional
	UserNamespaceTemplate *string `json:"userNamespaceTemplate,omitzero"`
	// UserNamespaceLabels are the labels with which that namespace is made; templates.
	// +optional
	UserNamespaceLabels map[string]string `json:"userNamespaceLabels,omitzero"`
	// UserNamespaceAnnotations are the annotations with which that namespace is made; templates.
	// +optional
	UserNamespaceAnnotations map[string]string `json:"userNamespaceAnnotations,omitzero"`

	// ComponentLabel is the value of the component labels. Default singleuser-server.
	// +optional
	ComponentLabel *string `json:"componentLabel,omitzero"`
	// CommonLabels of pod, claim and Secret; they win over extraLabels.
	// +optional
	CommonLabels map[string]string `json:"commonLabels,omitzero"`
	// ExtraLabels of the pod; templates.
	// +optional
	ExtraLabels map[string]string `json:"extraLabels,omitzero"`
	// ExtraAnnotations of the pod; templates.
	// +optional
	ExtraAnnotations map[string]string `json:"extraAnnotations,omitzero"`
}

// Claim is a claim beside the home. A claim that this user and server have under another name is taken before a new one is made,
// as the home is.
type Claim struct {
	// NameTemplate is the claim's name; a template. Default NAME-{user_server}, with the claim's name in claims.
	// +optional
	NameTemplate *string `json:"nameTemplate,omitzero"`
	// StorageCapacity that the claim asks for. Needed.
	// +optional
	StorageCapacity *resource.Quantity `json:"storageCapacity,omitzero"`
	// StorageClass; "" switches dynamic provisioning off. Absent: the cluster's default.
	// +optional
	StorageClass *string `json:"storageClass,omitzero"`
	// AccessModes. Default ReadWriteOnce.
	// +optional
	// +listType=atomic
	AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes,omitzero"`
	// Selector of the volume; templates.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitzero"`
	// ExtraLabels; templates.
	// +optional
	ExtraLabels map[string]string `json:"extraLabels,omitzero"`
	// ExtraAnnotations; templates.
	// +optional
	ExtraAnnotations map[string]string `json:"extraAnnotations,omitzero"`
}
