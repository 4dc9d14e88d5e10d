package policy

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// settings are v1alpha1.Server merged and typed: the pod-shaped pieces, which the API carries as plain JSON, are
// Kubernetes' own types here. The names in the tags are the names of v1alpha1.Server; a test holds them together.
type settings struct {
	Image             *string                       `json:"image"`
	ImagePullPolicy   *corev1.PullPolicy            `json:"imagePullPolicy"`
	ImagePullSecrets  []corev1.LocalObjectReference `json:"imagePullSecrets"`
	Cmd               []string                      `json:"cmd"`
	Args              []string                      `json:"args"`
	IP                *string                       `json:"ip"`
	Port              *int32                        `json:"port"`
	WorkingDir        *string                       `json:"workingDir"`
	DefaultURL        *string                       `json:"defaultUrl"`
	NotebookDir       *string                       `json:"notebookDir"`
	Debug             *bool                         `json:"debug"`
	DisableUserConfig *bool                         `json:"disableUserConfig"`
	Environment       map[string]corev1.EnvVar      `json:"environment"`

	MemLimit                *resource.Quantity           `json:"memLimit"`
	MemGuarantee            *resource.Quantity           `json:"memGuarantee"`
	CPULimit                *resource.Quantity           `json:"cpuLimit"`
	CPUGuarantee            *resource.Quantity           `json:"cpuGuarantee"`
	ExtraResourceLimits     map[string]resource.Quantity `json:"extraResourceLimits"`
	ExtraResourceGuarantees map[string]resource.Quantity `json:"extraResourceGuarantees"`

	UID                          *int64                             `json:"uid"`
	GID                          *int64                             `json:"gid"`
	FsGID                        *int64                             `json:"fsGid"`
	SupplementalGIDs             []int64                            `json:"supplementalGids"`
	Privileged                   *bool                              `json:"privileged"`
	AllowPrivilegeEscalation     *bool                              `json:"allowPrivilegeEscalation"`
	ContainerSecurityContext     overlay[corev1.SecurityContext]    `json:"containerSecurityContext"`
	PodSecurityContext           overlay[corev1.PodSecurityContext] `json:"podSecurityContext"`
	ServiceAccount               *string                            `json:"serviceAccount"`
	AutomountServiceAccountToken *bool                              `json:"automountServiceAccountToken"`

	Volumes              []corev1.Volume           `json:"volumes"`
	VolumeMounts         []corev1.VolumeMount      `json:"volumeMounts"`
	InitContainers       []corev1.Container        `json:"initContainers"`
	ExtraContainers      []corev1.Container        `json:"extraContainers"`
	LifecycleHooks       *corev1.Lifecycle         `json:"lifecycleHooks"`
	ExtraContainerConfig overlay[corev1.Container] `json:"extraContainerConfig"`
	ExtraPodConfig       overlay[corev1.PodSpec]   `json:"extraPodConfig"`

	NodeSelector             map[string]string                `json:"nodeSelector"`
	Tolerations              []corev1.Toleration              `json:"tolerations"`
	NodeAffinityPreferred    []corev1.PreferredSchedulingTerm `json:"nodeAffinityPreferred"`
	NodeAffinityRequired     []corev1.NodeSelectorTerm        `json:"nodeAffinityRequired"`
	PodAffinityPreferred     []corev1.WeightedPodAffinityTerm `json:"podAffinityPreferred"`
	PodAffinityRequired      []corev1.PodAffinityTerm         `json:"podAffinityRequired"`
	PodAntiAffinityPreferred []corev1.WeightedPodAffinityTerm `json:"podAntiAffinityPreferred"`
	PodAntiAffinityRequired  []corev1.PodAffinityTerm         `json:"podAntiAffinityRequired"`
	SchedulerName            *string                          `json:"schedulerName"`
	PriorityClassName        *string                          `json:"priorityClassName"`

	StoragePVCEnsure        *bool                               `json:"storagePvcEnsure"`
	StorageCapacity         *resource.Quantity                  `json:"storageCapacity"`
	StorageClass            *string                             `json:"storageClass"`
	StorageAccessModes      []corev1.PersistentVolumeAccessMode `json:"storageAccessModes"`
	StorageSelector         *metav1.LabelSelector               `json:"storageSelector"`
	StorageExtraLabels      map[string]string                   `json:"storageExtraLabels"`
	StorageExtraAnnotations map[string]string                   `json:"storageExtraAnnotations"`
	Claims                  map[string]v1alpha1.Claim           `json:"claims"`

	SlugScheme               *string           `json:"slugScheme"`
	PodNameTemplate          *string           `json:"podNameTemplate"`
	PVCNameTemplate          *string           `json:"pvcNameTemplate"`
	SecretNameTemplate       *string           `json:"secretNameTemplate"`
	DNSNameTemplate          *string           `json:"dnsNameTemplate"`
	PodConnectIP             *string           `json:"podConnectIp"`
	HandleLegacyNames        *bool             `json:"handleLegacyNames"`
	RememberPVCName          *bool             `json:"rememberPvcName"`
	ServicesEnabled          *bool             `json:"servicesEnabled"`
	InternalSSL              *bool             `json:"internalSsl"`
	SecretMountPath          *string           `json:"secretMountPath"`
	Namespace                *string           `json:"namespace"`
	EnableUserNamespaces     *bool             `json:"enableUserNamespaces"`
	UserNamespaceTemplate    *string           `json:"userNamespaceTemplate"`
	UserNamespaceLabels      map[string]string `json:"userNamespaceLabels"`
	UserNamespaceAnnotations map[string]string `json:"userNamespaceAnnotations"`

	ComponentLabel   *string           `json:"componentLabel"`
	CommonLabels     map[string]string `json:"commonLabels"`
	ExtraLabels      map[string]string `json:"extraLabels"`
	ExtraAnnotations map[string]string `json:"extraAnnotations"`
}

// overlay is a fragment of T that replaces whole top-level fields of another T. The keys tell a field that was
// written as false or empty from one that wasn't written.
type overlay[T any] struct {
	// Keys are the top-level JSON names that were written, sorted.
	Keys  []string
	Value T
}

// builtIn are KubeSpawner's own defaults (kubespawner/spawner.py, 7.1), the weakest layer of all.
func builtIn() tree {
	return tree{
		"image":                    "quay.io/jupyterhub/singleuser:latest",
		"ip":                       "0.0.0.0",
		"port":                     int64(8888),
		"allowPrivilegeEscalation": false,
		"privileged":               false,
		"storagePvcEnsure":         false,
		"storageAccessModes":       []any{"ReadWriteOnce"},
		"slugScheme":               "safe",
		"podNameTemplate":          "jupyter-{user_server}",
		"pvcNameTemplate":          "claim-{user_server}",
		"secretNameTemplate":       "{pod_name}",
		"dnsNameTemplate":          "{name}.{namespace}.svc.cluster.local",
		"handleLegacyNames":        true,
		"rememberPvcName":          true,
		"secretMountPath":          "/etc/jupyterhub/ssl/",
		"userNamespaceTemplate":    "{hubnamespace}-{username}",
		"componentLabel":           "singleuser-server",
		"commonLabels": tree{
			"app.kubernetes.io/name":       "jupyterhub",
			"app.kubernetes.io/managed-by": "kubespawner",
			"app":                          "jupyterhub",
			"heritage":                     "jupyterhub",
		},
	}
}

// shape says how a setting is written and merged.
type shape int

const (
	// plain: a scalar, a list that only replaces, or a structure.
	plain shape = iota
	// byName, byMountPath: a list or a map of things that have an identity.
	byName
	byMountPath
	// anonymous: a list or a map of things without an identity.
	anonymous
	// mapping: a map whose keys are merged, and enforced, one by one.
	mapping
)

// definition is what the engine knows of one setting beside its type.
type definition struct {
	shape shape
	// expand: strings in it are templates, and these placeholders may stand in them; nil: never expanded.
	expand []string
	// lands is where it stands in the pod or claim.
	lands string
}

// Placeholders that are known at each stage: names come first, in this order.
var (
	beforePodName   = without(placeholders, "pod_name", "pvc_name")
	beforeClaimName = without(placeholders, "pvc_name")
	beforeNamespace = without(placeholders, "pod_name", "pvc_name", "namespace")
)

// without gives names but the dropped ones.
func without(names []string, dropped ...string) []string {
	var kept []string
	for _, n := range names {
		drop := false
		for _, d := range dropped {
			drop = drop || d == n
		}
		if !drop {
			kept = append(kept, n)
		}
	}
	return kept
}

const (
	landsNotebook  = "spec.containers[notebook]."
	landsSpec      = "spec."
	landsClaim     = "PersistentVolumeClaim spec."
	landsClaimMeta = "PersistentVolumeClaim metadata."
)

// definitions has every setting by its name.
var definitions = map[string]definition{
	"image":             {lands: landsNotebook + "image"},
	"imagePullPolicy":   {lands: landsNotebook + "imagePullPolicy"},
	"imagePullSecrets":  {lands: landsSpec + "imagePullSecrets"},
	"cmd":               {lands: landsNotebook + "args"},
	"args":              {lands: landsNotebook + "args"},
	"ip":                {lands: landsNotebook + "env[JUPYTERHUB_SERVICE_URL]"},
	"port":              {lands: landsNotebook + "ports[notebook-port]"},
	"workingDir":        {lands: landsNotebook + "workingDir", expand: placeholders},
	"defaultUrl":        {lands: landsNotebook + "env[JUPYTERHUB_DEFAULT_URL]"},
	"notebookDir":       {lands: landsNotebook + "env[JUPYTERHUB_ROOT_DIR]"},
	"debug":             {lands: landsNotebook + "env[JUPYTERHUB_DEBUG]"},
	"disableUserConfig": {lands: landsNotebook + "env[JUPYTERHUB_DISABLE_USER_CONFIG]"},
	"environment":       {shape: mapping, lands: landsNotebook + "env", expand: placeholders},

	"memLimit":                {lands: landsNotebook + "resources.limits[memory]"},
	"memGuarantee":            {lands: landsNotebook + "resources.requests[memory]"},
	"cpuLimit":                {lands: landsNotebook + "resources.limits[cpu]"},
	"cpuGuarantee":            {lands: landsNotebook + "resources.requests[cpu]"},
	"extraResourceLimits":     {shape: mapping, lands: landsNotebook + "resources.limits"},
	"extraResourceGuarantees": {shape: mapping, lands: landsNotebook + "resources.requests"},

	"uid":                          {lands: landsNotebook + "securityContext.runAsUser"},
	"gid":                          {lands: landsNotebook + "securityContext.runAsGroup"},
	"fsGid":                        {lands: landsSpec + "securityContext.fsGroup"},
	"supplementalGids":             {lands: landsSpec + "securityContext.supplementalGroups"},
	"privileged":                   {lands: landsNotebook + "securityContext.privileged"},
	"allowPrivilegeEscalation":     {lands: landsNotebook + "securityContext.allowPrivilegeEscalation"},
	"containerSecurityContext":     {shape: mapping, lands: landsNotebook + "securityContext"},
	"podSecurityContext":           {shape: mapping, lands: landsSpec + "securityContext"},
	"serviceAccount":               {lands: landsSpec + "serviceAccountName", expand: placeholders},
	"automountServiceAccountToken": {lands: landsSpec + "automountServiceAccountToken"},

	"volumes":              {shape: byName, lands: landsSpec + "volumes", expand: placeholders},
	"volumeMounts":         {shape: byMountPath, lands: landsNotebook + "volumeMounts", expand: placeholders},
	"initContainers":       {shape: byName, lands: landsSpec + "initContainers", expand: placeholders},
	"extraContainers":      {shape: byName, lands: landsSpec + "containers", expand: placeholders},
	"lifecycleHooks":       {lands: landsNotebook + "lifecycle"},
	"extraContainerConfig": {shape: mapping, lands: landsNotebook + "*"},
	"extraPodConfig":       {shape: mapping, lands: landsSpec + "*", expand: placeholders},

	"nodeSelector":             {shape: mapping, lands: landsSpec + "nodeSelector"},
	"tolerations":              {shape: anonymous, lands: landsSpec + "tolerations"},
	"nodeAffinityPreferred":    {shape: anonymous, lands: landsSpec + "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution"},
	"nodeAffinityRequired":     {shape: anonymous, lands: landsSpec + "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"},
	"podAffinityPreferred":     {shape: anonymous, lands: landsSpec + "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution"},
	"podAffinityRequired":      {shape: anonymous, lands: landsSpec + "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution"},
	"podAntiAffinityPreferred": {shape: anonymous, lands: landsSpec + "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution"},
	"podAntiAffinityRequired":  {shape: anonymous, lands: landsSpec + "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution"},
	"schedulerName":            {lands: landsSpec + "schedulerName"},
	"priorityClassName":        {lands: landsSpec + "priorityClassName"},

	"storagePvcEnsure":        {lands: "PersistentVolumeClaim"},
	"storageCapacity":         {lands: landsClaim + "resources.requests[storage]"},
	"storageClass":            {lands: landsClaim + "storageClassName"},
	"storageAccessModes":      {lands: landsClaim + "accessModes"},
	"storageSelector":         {lands: landsClaim + "selector", expand: placeholders},
	"storageExtraLabels":      {shape: mapping, lands: landsClaimMeta + "labels", expand: placeholders},
	"storageExtraAnnotations": {shape: mapping, lands: landsClaimMeta + "annotations", expand: placeholders},
	"claims":                  {shape: mapping, lands: "more PersistentVolumeClaims", expand: placeholders},

	"slugScheme":               {lands: "{username}, {servername}, {user_server}"},
	"podNameTemplate":          {lands: "metadata.name", expand: beforePodName},
	"pvcNameTemplate":          {lands: landsClaimMeta + "name", expand: beforeClaimName},
	"secretNameTemplate":       {lands: "name of the TLS Secret", expand: beforeClaimName},
	"dnsNameTemplate":          {lands: "host name for the hub", expand: []string{"name", "namespace"}},
	"podConnectIp":             {lands: "host name for the hub", expand: placeholders},
	"handleLegacyNames":        {lands: "{pvc_name}"},
	"rememberPvcName":          {lands: "{pvc_name}"},
	"servicesEnabled":          {lands: "Service"},
	"internalSsl":              {lands: landsSpec + "volumes[jupyterhub-internal-certs]"},
	"secretMountPath":          {lands: landsNotebook + "volumeMounts"},
	"namespace":                {lands: "metadata.namespace", expand: beforeNamespace},
	"enableUserNamespaces":     {lands: "Namespace"},
	"userNamespaceTemplate":    {lands: "metadata.namespace", expand: beforeNamespace},
	"userNamespaceLabels":      {shape: mapping, lands: "Namespace metadata.labels", expand: placeholders},
	"userNamespaceAnnotations": {shape: mapping, lands: "Namespace metadata.annotations", expand: placeholders},

	"componentLabel":   {lands: "metadata.labels[component]"},
	"commonLabels":     {shape: mapping, lands: "metadata.labels"},
	"extraLabels":      {shape: mapping, lands: "metadata.labels", expand: placeholders},
	"extraAnnotations": {shape: mapping, lands: "metadata.annotations", expand: placeholders},
}
