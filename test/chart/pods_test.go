package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	psapi "k8s.io/pod-security-admission/api"
	pspolicy "k8s.io/pod-security-admission/policy"
)

// podOf gives the pod, or the pod template, that an object is or has; nil where it has none.
func podOf(t *testing.T, o *unstructured.Unstructured) *corev1.PodTemplateSpec {
	t.Helper()
	switch o.GetKind() {
	case "Deployment":
		return &as[appsv1.Deployment](t, o).Spec.Template
	case "Job":
		return &as[batchv1.Job](t, o).Spec.Template
	case "Pod":
		pod := as[corev1.Pod](t, o)
		return &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	}
	return nil
}

func TestEveryPodPassesPodSecurityRestricted(t *testing.T) {
	evaluator, err := pspolicy.NewEvaluator(pspolicy.DefaultChecks(), nil)
	require.NoError(t, err)
	for name, v := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The one thing that restricted refuses is what this set is for.
			level := psapi.LevelRestricted
			if name == "private-cluster" {
				level = psapi.LevelPrivileged
			}
			pods := 0
			for _, o := range render(t, v) {
				pod := podOf(t, o)
				if pod == nil {
					continue
				}
				pods++
				result := pspolicy.AggregateCheckResults(evaluator.EvaluatePod(
					psapi.LevelVersion{Level: level, Version: psapi.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
				assert.True(t, result.Allowed, "%s %s: %s", o.GetKind(), o.GetName(), result.ForbiddenDetail())
				for _, container := range pod.Spec.Containers {
					assert.True(t, *container.SecurityContext.ReadOnlyRootFilesystem, "%s %s", o.GetKind(), o.GetName())
				}
			}
			assert.GreaterOrEqual(t, pods, 2, "the webhook and the test")
		})
	}
}

// A launcher that may start servers in a few namespaces asks for its rights there; elsewhere it has none, and would never be ready.
func TestTheLauncherKnowsWhereItMayLaunch(t *testing.T) {
	for name, c := range map[string]struct {
		launcher values
		want     []string
	}{
		"in two namespaces": {values{"namespaces": []any{"a", "b"}}, []string{"--namespace=a", "--namespace=b"}},
		"everywhere":        {values{"namespaces": []any{"a"}, "clusterWide": true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			deployment := as[appsv1.Deployment](t, render(t, values{"launcher": launcher(c.launcher)}).find(t, "Deployment", "slipway-launcher"))
			var got []string
			for _, arg := range deployment.Spec.Template.Spec.Containers[0].Args {
				if strings.HasPrefix(arg, "--namespace=") {
					got = append(got, arg)
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
}

// What the launcher serves, to whom, and what it may do of what is switched off by itself.
func TestTheLauncherServesTheHubsThatTheValuesName(t *testing.T) {
	plain := []string{"--bind-address=:8443", "--tls-cert-dir=/etc/slipway/tls", "--account=jupyter/hub=main"}
	for name, c := range map[string]struct {
		launcher values
		want     []string
	}{
		"one hub": {nil, plain},
		"several": {values{"accounts": []any{
			values{"namespace": "a", "name": "hub", "hubs": []any{"main", "test"}}, values{"namespace": "b", "name": "x", "hubs": []any{"other"}},
		}}, append(plain[:2:2], "--account=a/hub=main,test", "--account=b/x=other")},
		"another port": {values{"port": 9443}, append([]string{"--bind-address=:9443"}, plain[1:]...)},
		"all rights":   {values{"podLogs": true, "userNamespaces": true, "userNamespacePolicy": "own"}, append(plain[:3:3], "--user-namespaces", "--pod-logs")},
	} {
		t.Run(name, func(t *testing.T) {
			rendered := render(t, values{"launcher": launcher(merged(c.launcher, values{"clusterWide": true}))})
			container := as[appsv1.Deployment](t, rendered.find(t, "Deployment", "slipway-launcher")).Spec.Template.Spec.Containers[0]
			assert.Subset(t, container.Args, c.want)
			rest := slices.DeleteFunc(container.Args, func(arg string) bool { return slices.Contains(c.want, arg) })
			assert.NotRegexp(t, "--(account|bind-address|user-namespaces|pod-logs)", strings.Join(rest, " "))
			https := as[corev1.Service](t, rendered.find(t, "Service", "slipway-launcher")).Spec.Ports[0]
			assert.Equal(t, corev1.ServicePort{
				Name: "https", Port: 443, TargetPort: intstr.FromString("https"), Protocol: corev1.ProtocolTCP, AppProtocol: new("https"),
			}, https)
		})
	}
}

// The certificate is somebody else's, in a Secret that the values name, or cert-manager's.
func TestTheLaunchersCertificateIsMounted(t *testing.T) {
	certManager := values{"mode": "certManager"}
	for name, c := range map[string]struct {
		values values
		want   string
		issued bool
	}{
		"a Secret":          {values{"launcher": launcher(values{"clusterWide": true})}, "launcher-tls", false},
		"cert-manager":      {values{"certificates": certManager, "launcher": launcher(values{"clusterWide": true, "tls": values{}})}, "slipway-launcher-cert-manager", true},
		"a Secret all over": {values{"certificates": certManager, "launcher": launcher(values{"clusterWide": true})}, "launcher-tls", false},
	} {
		t.Run(name, func(t *testing.T) {
			rendered := render(t, c.values)
			pod := as[appsv1.Deployment](t, rendered.find(t, "Deployment", "slipway-launcher")).Spec.Template.Spec
			assert.Equal(t, c.want, pod.Volumes[0].Secret.SecretName)
			assert.Equal(t, corev1.VolumeMount{Name: pod.Volumes[0].Name, MountPath: "/etc/slipway/tls", ReadOnly: true}, pod.Containers[0].VolumeMounts[0])
			issued := slices.ContainsFunc(rendered, func(o *unstructured.Unstructured) bool {
				return o.GetKind() == "Certificate" && o.GetName() == "slipway-launcher"
			})
			require.Equal(t, c.issued, issued)
			if issued {
				spec := rendered.find(t, "Certificate", "slipway-launcher").Object["spec"].(values)
				assert.Equal(t, c.want, spec["secretName"])
				assert.Contains(t, spec["dnsNames"], "slipway-launcher."+namespace+".svc")
			}
		})
	}
}

// Nobody calls the launcher but whom the values name.
func TestTheLaunchersNetworkPolicyLetsHubsIn(t *testing.T) {
	hubs := []any{values{"namespaceSelector": values{"matchLabels": values{"kubernetes.io/metadata.name": "jupyter"}}}}
	for name, c := range map[string]struct {
		from []any
		want int
	}{"hubs": {hubs, 1}, "nobody": {[]any{}, 0}} {
		t.Run(name, func(t *testing.T) {
			v := values{"launcher": launcher(values{"clusterWide": true, "networkPolicy": values{"enabled": true, "hubsFrom": c.from}})}
			spec := as[networkingv1.NetworkPolicy](t, render(t, v).find(t, "NetworkPolicy", "slipway-launcher")).Spec
			require.Len(t, spec.Ingress, c.want)
			for _, rule := range spec.Ingress {
				assert.Equal(t, "https", rule.Ports[0].Port.StrVal)
				assert.NotEmpty(t, rule.From)
			}
			assert.Contains(t, spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		})
	}
}

// A replica that was told to stop is killed only after it had the time that it takes.
func TestAReplicaHasTheTimeToDrain(t *testing.T) {
	v := values{"webhook": values{"drain": values{"delaySeconds": 40, "timeoutSeconds": 50}}}
	deployment := as[appsv1.Deployment](t, render(t, v).find(t, "Deployment", "slipway-webhook"))
	pod := deployment.Spec.Template.Spec
	assert.Subset(t, pod.Containers[0].Args, []string{"--drain-delay=40s", "--drain-timeout=50s"})
	assert.Greater(t, *pod.TerminationGracePeriodSeconds, int64(40+50+5), "it gives up by itself five seconds after that")
}

func TestTracesGoWhereTheValuesSay(t *testing.T) {
	for endpoint, want := range map[string][]string{
		"":                             nil,
		"collector.tracing:4317":       {"--tracing-endpoint=collector.tracing:4317", "--tracing-sampling-ratio=0.05"},
		"https://otlp.example.org:443": {"--tracing-endpoint=https://otlp.example.org:443", "--tracing-sampling-ratio=0.05"},
		"[2001:db8::1]:4317":           {"--tracing-endpoint=[2001:db8::1]:4317", "--tracing-sampling-ratio=0.05"},
		"https://[2001:db8::1]:4317":   {"--tracing-endpoint=https://[2001:db8::1]:4317", "--tracing-sampling-ratio=0.05"},
	} {
		t.Run(endpoint, func(t *testing.T) {
			v := values{"webhook": values{"tracing": values{"endpoint": endpoint, "samplingRatio": 0.05}}}
			deployment := as[appsv1.Deployment](t, render(t, v).find(t, "Deployment", "slipway-webhook"))
			var got []string
			for _, arg := range deployment.Spec.Template.Spec.Containers[0].Args {
				if strings.HasPrefix(arg, "--tracing-") {
					got = append(got, arg)
				}
			}
			assert.Equal(t, want, got)
		})
	}
}

func TestTheImageIsByDigestWhereOneIsGiven(t *testing.T) {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for name, c := range map[string]struct {
		image values
		want  string
	}{
		"default": {values{}, "ghcr.io/slipway-hub/slipway-webhook:0.1.0"},
		"tag":     {values{"repository": "localhost:5000/slipway", "tag": "1.2.3"}, "localhost:5000/slipway:1.2.3"},
		"digest":  {values{"tag": "1.2.3", "digest": digest}, "ghcr.io/slipway-hub/slipway-webhook@" + digest},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range render(t, values{"webhook": values{"image": c.image}}) {
				if pod := podOf(t, o); pod != nil {
					assert.Equal(t, c.want, pod.Spec.Containers[0].Image, o.GetKind())
				}
			}
		})
	}
}

// Whatever the values, a Deployment's selector stays, since it can't be changed in a cluster, and its pods have what it selects by.
func TestSelectorsNeverChange(t *testing.T) {
	want := map[string]string{"app.kubernetes.io/name": "slipway", "app.kubernetes.io/instance": "slipway", "app.kubernetes.io/component": "webhook"}
	for name, v := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v["webhook"] = merged(v["webhook"], values{"podLabels": values{"app.kubernetes.io/component": "other"}})
			rendered := render(t, v)
			deployment := as[appsv1.Deployment](t, rendered.find(t, "Deployment", "slipway-webhook"))
			assert.Equal(t, want, deployment.Spec.Selector.MatchLabels)
			assert.Equal(t, want, as[corev1.Service](t, rendered.find(t, "Service", "slipway-webhook")).Spec.Selector)
			for key, value := range want {
				assert.Equal(t, value, deployment.Spec.Template.Labels[key])
			}
		})
	}
}

// merged is a map of values with others put over it.
func merged(v any, over values) values {
	all := values{}
	if v, ok := v.(values); ok {
		maps.Copy(all, v)
	}
	maps.Copy(all, over)
	return all
}
