package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

func serverPod(name, user, uid, claim string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "n", Name: name, UID: types.UID(uid), Labels: map[string]string{policy.LabelHub: "main"},
			Annotations: map[string]string{policy.AnnotationUsername: user, policy.AnnotationEnvSecret: name + "-env-00000000"},
		},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "home", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}},
	}
}

func secretOf(name, uid string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "n", Name: name, OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "x", UID: types.UID(uid)}},
		},
	}
}

func homeOf(name, user string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: "n", Name: name, Labels: map[string]string{policy.LabelHub: "main"}, Annotations: map[string]string{policy.AnnotationUsername: user},
	}}
}

func TestOrphansArePodsSecretsAndClaimsWithoutAServer(t *testing.T) {
	pods := []*corev1.Pod{serverPod("jupyter-alice", "alice", "1", "claim-alice"), serverPod("jupyter-bob", "bob", "2", "claim-bob")}
	client := fake.NewClientset(pods[0], pods[1], homeOf("claim-alice", "alice"), homeOf("claim-bob", "bob"), homeOf("claim-carol", "carol"))
	scheme := runtime.NewScheme()
	require.NoError(t, metav1.AddMetaToScheme(scheme))
	secrets := metadatafake.NewSimpleMetadataClient(scheme, secretOf("jupyter-alice-env-00000000", "1"), secretOf("jupyter-carol-env-00000000", "3"))
	found, err := findOrphans(t.Context(), client, secrets, []corev1.Pod{*pods[0], *pods[1]}, &listFlags{namespace: "n", hub: "main"})
	require.NoError(t, err)
	assert.Equal(t, []orphan{
		{"n", kindClaim, "claim-carol", "carol", "no pod uses it"},
		{"n", kindPod, "jupyter-bob", "bob", "its Secret jupyter-bob-env-00000000 is missing"},
		{"n", kindSecret, "jupyter-carol-env-00000000", "", "its pod is gone, and garbage collection hasn't taken it yet"},
	}, found)
}

func TestAHubIsAskedWhichServersItKnows(t *testing.T) {
	var hub *httptest.Server
	hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "token secret":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/hub/api/users" && r.URL.Query().Get("offset") == "":
			_, _ = w.Write([]byte(`{"items": [{"name": "alice", "servers": {"": {}, "lab": {}}}], "_pagination": {"next": {"url": "` + hub.URL + `/hub/api/users?offset=1"}}}`))
		default:
			_, _ = w.Write([]byte(`{"items": [{"name": "bob"}], "_pagination": {"next": null}}`))
		}
	}))
	defer hub.Close()
	known, err := serversOfHub(t.Context(), hub.Client(), hub.URL+"/", "secret")
	require.NoError(t, err)
	assert.Equal(t, map[launcher.Key]bool{{User: "alice"}: true, {User: "alice", Name: "lab"}: true}, known)
	assert.Equal(t, []orphan{{"n", kindPod, "jupyter-bob", "bob", "the hub doesn't know this server"}},
		podsUnknown([]corev1.Pod{*serverPod("jupyter-alice", "alice", "1", ""), *serverPod("jupyter-bob", "bob", "2", "")}, known))
	_, err = serversOfHub(t.Context(), hub.Client(), hub.URL+"/hub/api", "wrong")
	require.ErrorContains(t, err, "read:servers")
}
