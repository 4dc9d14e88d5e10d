package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// A launcher hands the TLS files over in the env Secret: they are mounted from there, and are no variables.
func TestCertificatesComeFromTheEnvSecretWhereTheyAreInIt(t *testing.T) {
	in := aliceIn("research")
	in.Identity.EnvSecret = "jupyter-alice-env-x7k2m9qa"
	in.Identity.EnvKeys = append(CertificateFiles(), "JUPYTERHUB_USER")
	c := compiled(t, baseline+namespaced("n", "{enforced: {internalSsl: true, environment: {A: b}}}")+clusterwide("all", "{hubEnv: ['*']}"))
	pod := fitted(t, c, in).Pod
	volume := volume(pod, certificateVolume)
	require.NotNil(t, volume.Secret)
	assert.Equal(t, "jupyter-alice-env-x7k2m9qa", volume.Secret.SecretName)
	assert.Equal(t, []corev1.KeyToPath{
		{Key: "ssl.key", Path: "ssl.key"}, {Key: "ssl.crt", Path: "ssl.crt"}, {Key: "notebooks-ca_trust.crt", Path: "notebooks-ca_trust.crt"},
	}, volume.Secret.Items, "the token stays out of the file system")
	env := envOf(pod)
	assert.Contains(t, env, "JUPYTERHUB_USER")
	assert.NotContains(t, env, "ssl.key")
	assert.Equal(t, "/etc/jupyterhub/ssl/ssl.key", env["JUPYTERHUB_SSL_KEYFILE"])

	in.Identity.EnvKeys = []string{"JUPYTERHUB_USER"}
	assert.Equal(t, "jupyter-alice", fitted(t, c, in).Pod.Spec.Volumes[0].Secret.SecretName, "else they are in a Secret of their own")

	in.Identity.EnvKeys = CertificateFiles()
	without := fitted(t, compiled(t, baseline), in).Pod
	assert.Empty(t, without.Spec.Volumes, "policy decides on internal TLS")
	assert.NotContains(t, envOf(without), "ssl.key")
}

func TestThePodSaysWhereTheHubReachesItIfThatIsntItsAddress(t *testing.T) {
	for name, tc := range map[string]struct{ settings, want string }{
		"by its address":                       {"{}", ""},
		"by a Service":                         {"{servicesEnabled: true}", "http://jupyter-alice.research.svc.cluster.local:8888"},
		"by TLS":                               {"{internalSsl: true, port: 8443}", "https://jupyter-alice.research.svc.cluster.local:8443"},
		"by a name":                            {"{podConnectIp: '{username}.nodes.example'}", "http://alice.nodes.example:8888"},
		"by an IPv6 address":                   {"{podConnectIp: 'fd00::1'}", "http://[fd00::1]:8888"},
		"TLS by a name":                        {"{podConnectIp: example.org, internalSsl: true}", "https://example.org:8888"},
		"nowhere":                              {"{servicesEnabled: true, unset: [port]}", ""},
		"not by an annotation of policy's own": {"{extraAnnotations: {slipway.dev/connect: 'http://elsewhere'}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, block := range []string{"defaults", "enforced"} {
				if block == "enforced" && name == "nowhere" {
					continue // a port can't be enforced away
				}
				pod := fitted(t, compiled(t, baseline+namespaced("n", "{"+block+": "+tc.settings+"}")), aliceIn("research")).Pod
				at, has := pod.Annotations[AnnotationConnect]
				assert.Equal(t, tc.want, at)
				assert.Equal(t, tc.want != "", has)
			}
		})
	}
}
