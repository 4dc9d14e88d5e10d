package policy

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// What the API server itself fills into a pod after policy has fitted it: its defaults (k8s.io/kubernetes
// pkg/apis/core/v1/defaults.go) and its in-tree admission plugins. These are no additions.

// fillIn is one row: what may appear at a place where the fitted pod says nothing.
type fillIn struct {
	// pattern of the place, where C is a container of any list and V a volume; with * at the end, also what begins so.
	pattern string
	// by names the default or the plugin.
	by string
	// is holds for the values that are filled in; nil: any.
	is func(at place, value any) bool
}

// fillIns is the table; a test has each row.
var fillIns = []fillIn{
	{"spec.dnsPolicy", "default", equals(corev1.DNSClusterFirst)},
	{"spec.restartPolicy", "default", equals(corev1.RestartPolicyAlways)},
	{"spec.schedulerName", "default", equals(corev1.DefaultSchedulerName)},
	{"spec.terminationGracePeriodSeconds", "default", equals(int64(corev1.DefaultTerminationGracePeriodSeconds))},
	{"spec.enableServiceLinks", "default", equals(corev1.DefaultEnableServiceLinks)},
	{"spec.securityContext", "default", equals(corev1.PodSecurityContext{})},
	{"spec.serviceAccountName", "default of ServiceAccount", equals("default")},
	{"spec.serviceAccount", "default", func(at place, v any) bool { return v == at.spec.ServiceAccountName }},
	{"spec.imagePullSecrets", "ServiceAccount", func(at place, _ any) bool { return at.alone }},
	{"V", "ServiceAccount", func(at place, v any) bool {
		volume, ok := v.(corev1.Volume)
		return ok && getsToken(at.spec) && isTokenVolume(&volume)
	}},
	{"C.volumeMounts", "ServiceAccount", isTokenMount},
	{"spec.priority", "Priority", nil},
	{"spec.preemptionPolicy", "Priority", nil},
	{"spec.priorityClassName", "Priority", isPossibleDefaultClass},
	{"spec.overhead", "RuntimeClass", hasRuntimeClass},
	{"spec.nodeSelector", "RuntimeClass", hasRuntimeClass},
	{"spec.tolerations", "DefaultTolerationSeconds", isDefaultToleration},
	{"annotations", "LimitRanger", func(at place, _ any) bool { return at.name == "kubernetes.io/limit-ranger" }},
	{"C.resources.limits", "LimitRanger", nil},
	{"C.resources.requests", "LimitRanger, and limits that no request stands beside", nil},
	{"spec.resources.requests", "limits that no request stands beside", nil},

	{"C.terminationMessagePath", "default", equals(corev1.TerminationMessagePathDefault)},
	{"C.terminationMessagePolicy", "default", equals(corev1.TerminationMessageReadFile)},
	{"C.imagePullPolicy", "default, and AlwaysPullImages", nil},
	{"C.ports.protocol", "default", equals(corev1.ProtocolTCP)},
	{"C.ports.hostPort", "default", func(at place, _ any) bool { return at.spec.HostNetwork }},
	{"C.env.valueFrom.fieldRef.apiVersion", "default", equals("v1")},
	{"C.env.valueFrom.fileKeyRef.optional", "default", equals(false)},
	{"C.livenessProbe.*", "default", isProbeDefault},
	{"C.readinessProbe.*", "default", isProbeDefault},
	{"C.startupProbe.*", "default", isProbeDefault},
	{"C.lifecycle.*", "default", isProbeDefault},

	{"V.emptyDir", "volumes without a source", equals(corev1.EmptyDirVolumeSource{})},
	{"V.image.pullPolicy", "default", nil},
	{"V.hostPath.type", "default", equals(corev1.HostPathUnset)},
	{"V.secret.defaultMode", "default", equals(corev1.SecretVolumeSourceDefaultMode)},
	{"V.configMap.defaultMode", "default", equals(corev1.ConfigMapVolumeSourceDefaultMode)},
	{"V.downwardAPI.defaultMode", "default", equals(corev1.DownwardAPIVolumeSourceDefaultMode)},
	{"V.downwardAPI.items.fieldRef.apiVersion", "default", equals("v1")},
	{"V.projected.defaultMode", "default", equals(corev1.ProjectedVolumeSourceDefaultMode)},
	{"V.projected.sources.serviceAccountToken.expirationSeconds", "default", equals(int64(60 * 60))},
	{"V.projected.sources.downwardAPI.items.fieldRef.apiVersion", "default", equals("v1")},
	{"V.ephemeral.volumeClaimTemplate.spec.volumeMode", "default", equals(corev1.PersistentVolumeFilesystem)},
	{"V.iscsi.iscsiInterface", "default", equals("default")},
	{"V.rbd.pool", "default", equals("rbd")},
	{"V.rbd.user", "default", equals("admin")},
	{"V.rbd.keyring", "default", equals("/etc/ceph/keyring")},
	{"V.azureDisk.*", "default", nil},
	{"V.scaleIO.storageMode", "default", equals("ThinProvisioned")},
	{"V.scaleIO.fsType", "default", equals("xfs")},
}

// tokenMountPath is where every container finds the token of its service account.
const tokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// tokenVolumePrefix begins the names of the volumes that hold it.
const tokenVolumePrefix = "kube-api-access-"

// replacedInTree: the one plugin that replaces what a pod says is AlwaysPullImages.
func replacedInTree(at place, have reflect.Value) bool {
	return at.pattern == "C.imagePullPolicy" && have.String() == string(corev1.PullAlways)
}

// filledInTree says whether what stands at a place can come from the API server itself.
func filledInTree(at place, have reflect.Value) bool {
	row := fillInAt(at.pattern)
	if row == nil {
		return false
	}
	for have.Kind() == reflect.Pointer {
		have = have.Elem()
	}
	return row.is == nil || row.is(at, have.Interface())
}

// fillInAt is the row for a place; nil where there is none.
func fillInAt(pattern string) *fillIn {
	row := fillInsByPattern[pattern]
	if row != nil {
		return row
	}
	for i := range fillIns {
		if prefix, wild := strings.CutSuffix(fillIns[i].pattern, "*"); wild && strings.HasPrefix(pattern, prefix) {
			row = &fillIns[i]
		}
	}
	return row
}

// isSent says whether what could be filled in at a place was sent by the caller. A default comes back, whoever wrote it.
func (c *comparison) isSent(at place) bool {
	row := fillInAt(at.pattern)
	return row != nil && !strings.HasPrefix(row.by, "default") && slices.ContainsFunc(c.sent, func(path string) bool {
		rest, below := strings.CutPrefix(path, at.path)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

var fillInsByPattern = func() map[string]*fillIn {
	rows := map[string]*fillIn{}
	for i := range fillIns {
		rows[fillIns[i].pattern] = &fillIns[i]
	}
	return rows
}()

func equals(want any) func(place, any) bool {
	return func(_ place, v any) bool { return equality.Semantic.DeepEqual(v, want) }
}

func hasRuntimeClass(at place, _ any) bool { return at.spec.RuntimeClassName != nil }

// isTokenVolume says whether a volume is the one that the API server itself adds for the token of the pod's service
// account (plugin/pkg/admission/serviceaccount): by its name and by all that it holds; by its name alone, it could be anything.
func isTokenVolume(volume *corev1.Volume) bool {
	if !strings.HasPrefix(volume.Name, tokenVolumePrefix) {
		return false
	}
	p := volume.Projected
	if p == nil || len(p.Sources) != 3 || !equality.Semantic.DeepEqual(volume.VolumeSource, corev1.VolumeSource{Projected: p}) {
		return false
	}
	token, ca, namespace := p.Sources[0].ServiceAccountToken, p.Sources[1].ConfigMap, p.Sources[2].DownwardAPI
	return token != nil && token.Audience == "" && token.Path == corev1.ServiceAccountTokenKey &&
		ca != nil && ca.Name == "kube-root-ca.crt" &&
		namespace != nil && len(namespace.Items) == 1 && namespace.Items[0].FieldRef != nil && namespace.Items[0].FieldRef.FieldPath == "metadata.namespace"
}

// getsToken: the pod's own word holds over the account's.
func getsToken(spec *corev1.PodSpec) bool {
	return spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken
}

// isPossibleDefaultClass: any class can be the cluster's default one, but for the API server's own (pkg/apis/scheduling/helpers.go).
func isPossibleDefaultClass(_ place, v any) bool {
	name, ok := v.(string)
	return ok && !strings.HasPrefix(name, "system-")
}

// isTokenMount: the volume behind it is checked by itself.
func isTokenMount(at place, v any) bool {
	m, ok := v.(corev1.VolumeMount)
	if !ok || !getsToken(at.spec) || m.MountPath != tokenMountPath || !m.ReadOnly || m.SubPath != "" || m.SubPathExpr != "" {
		return false
	}
	for i := range at.spec.Volumes {
		if volume := &at.spec.Volumes[i]; volume.Name == m.Name {
			return isTokenVolume(volume)
		}
	}
	return false
}

// isDefaultToleration: five minutes for a node that is lost. With a RuntimeClass, its own come too.
func isDefaultToleration(at place, v any) bool {
	t, ok := v.(corev1.Toleration)
	if !ok {
		return false
	}
	if hasRuntimeClass(at, v) {
		return true
	}
	return (t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable) &&
		t.Operator == corev1.TolerationOpExists && t.Effect == corev1.TaintEffectNoExecute && t.TolerationSeconds != nil
}

// isProbeDefault: what a probe or hook that policy wrote leaves open.
func isProbeDefault(at place, v any) bool {
	want, ok := map[string]any{
		"timeoutSeconds": int32(1), "periodSeconds": int32(10), "successThreshold": int32(1), "failureThreshold": int32(3),
		"path": "/", "scheme": corev1.URISchemeHTTP, "service": "",
	}[at.pattern[strings.LastIndexByte(at.pattern, '.')+1:]]
	return ok && equality.Semantic.DeepEqual(v, want) || strings.HasSuffix(at.pattern, ".httpGet.protocol")
}
