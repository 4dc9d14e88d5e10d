package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Holes of KubeSpawner and of Zero to JupyterHub that policy doesn't have, one test each. Those of the importer stand in
// package z2jh, TestWhatTheChartLosesIsTold.

const typedImage = `{profiles: [{slug: p, options: {image: {choices: {default: {}}, unlistedChoice: {validationRegex: "quay\\.io/[a-z]+:\\d+", settings: {image: "{value}", environment: {TYPED: "{value}"}, workingDir: "/{value}"}}}, size: {choices: {small: {}}}}}]}`

func typing(option, text, profile string) Input {
	in := aliceIn("research")
	in.Identity.Profile = profile
	in.Identity.Options = map[string]string{option + unlistedSuffix: text}
	return in
}

// KubeSpawner checks typed text only if the request names a profile.
func TestHoleTypedTextWithoutAProfileIsChecked(t *testing.T) {
	c := compiled(t, baseline+namespaced("a", typedImage))
	for _, profile := range []string{"", "p"} {
		assert.Equal(t, OptionInvalid, denied(t, c, typing("image", "evil/x", profile))[0].Code)
		assert.Equal(t, "quay.io/a:1", notebook(fitted(t, c, typing("image", "quay.io/a:1", profile)).Pod).Image)
	}
}

// KubeSpawner takes typed text for an option that doesn't offer it, where the request names no profile.
func TestHoleTypedTextThatIsNotOfferedIsRefused(t *testing.T) {
	c := compiled(t, baseline+namespaced("a", typedImage))
	assert.Equal(t, OptionInvalid, denied(t, c, typing("size", "huge", ""))[0].Code)
}

// KubeSpawner expands typed text once more as a template, format specifications included.
func TestHoleTypedTextIsNoTemplate(t *testing.T) {
	c := compiled(t, baseline+namespaced("a", `{profiles: [{slug: p, options: {note: {unlistedChoice: {settings: {environment: {TYPED: "{value}"}, workingDir: "/{value}", extraAnnotations: {note: "{value}"}}}}}}]}`))
	const text = "{username} {0.__class__} {username:>1000000000} {"
	pod := fitted(t, c, typing("note", text, "")).Pod
	assert.Equal(t, text, envOf(pod)["TYPED"])
	assert.Equal(t, "/"+text, notebook(pod).WorkingDir)
	assert.Equal(t, text, pod.Annotations["note"])
}

// KubeSpawner strips the dashes at a name's end, and bob- gets the folder of bob.
func TestHoleTwoUsersDoNotMeetInOneFolder(t *testing.T) {
	c := compiled(t, baseline+namespaced("a", `{defaults: {volumes: {home: {emptyDir: {}}}, volumeMounts: [{name: home, mountPath: /home, subPath: "{unescaped_username}"}]}}`))
	seen := map[string]string{}
	for _, user := range []string{"bob", "bob-", "bob--"} {
		in := aliceIn("research")
		in.Identity.User = user
		folder := notebook(fitted(t, c, in).Pod).VolumeMounts[0].SubPath
		require.Empty(t, seen[folder], "%s and %s meet in %s", user, seen[folder], folder)
		seen[folder] = user
	}
}

// extra_pod_config brings in what it likes, also from a profile: a platform bounds it.
func TestHoleExtraPodConfigIsBounded(t *testing.T) {
	platform := baseline + clusterwide("p", `{enforced: {serviceAccount: user, automountServiceAccountToken: false}, constraints: {podSecurity: baseline}}`)
	for field, value := range map[string]string{"hostPID": "true", "hostNetwork": "true", "volumes": "[{name: x, hostPath: {path: /}}]"} {
		c := compiled(t, platform+namespaced("a", "{profiles: [{slug: p, settings: {extraPodConfig: {"+field+": "+value+"}}}]}"))
		assert.Equal(t, ConstraintViolated, denied(t, c, aliceIn("research"))[0].Code, field)
	}
	c := compiled(t, platform+namespaced("a", "{profiles: [{slug: p, settings: {extraPodConfig: {serviceAccountName: admin, automountServiceAccountToken: true}}}]}"))
	pod := fitted(t, c, aliceIn("research")).Pod
	assert.Equal(t, "user", pod.Spec.ServiceAccountName)
	assert.Equal(t, new(false), pod.Spec.AutomountServiceAccountToken)
}

// Labels open a user's pod to networks; whoever says extraLabels can add them, unless a platform takes them away for good.
func TestHoleLabelsThatOpenNetworksAreTakenAway(t *testing.T) {
	const opening = "hub.jupyter.org/network-access-proxy-api"
	c := compiled(t, baseline+clusterwide("p", `{enforced: {unset: ["extraLabels[`+opening+`]", "commonLabels[`+opening+`]"]}}`)+
		namespaced("a", `{profiles: [{slug: p, settings: {extraLabels: {`+opening+`: "true"}, commonLabels: {`+opening+`: "true"}}}]}`))
	assert.NotContains(t, fitted(t, c, aliceIn("research")).Pod.Labels, opening)
}

// In KubeSpawner, one override that names the list drops the init container that keeps users from the cloud's metadata.
func TestHoleAProfileDoesNotDropTheMetadataBlock(t *testing.T) {
	block := clusterwide("p", "{enforced: {initContainers: {block-cloud-metadata: {image: tools}}}}")
	for _, settings := range []string{"initContainers: []", "initContainers: [{name: own, image: x}]", "unset: [initContainers]", "extraPodConfig: {initContainers: []}"} {
		c := compiled(t, baseline+block+namespaced("a", "{profiles: [{slug: p, settings: {"+settings+"}}]}"))
		found := false
		for _, i := range fitted(t, c, aliceIn("research")).Pod.Spec.InitContainers {
			found = found || i.Name == "block-cloud-metadata" && i.Image == "tools"
		}
		assert.True(t, found, settings)
	}
}
