//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/fleet"
)

// secretType is that of the Secrets with the environment of a start.
const secretType = "slipway.dev/env"

// makeVolumes makes as many as homes are ever made, and some more: a claim too much would be bound, and be seen.
func makeVolumes(t *testing.T, f *fleet.Fleet, homes int) {
	t.Helper()
	const more = 10
	_, err := f.Admin.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "homes"}, Provisioner: "kubernetes.io/no-provisioner",
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	for i := range homes + more {
		_, err := f.Admin.CoreV1().PersistentVolumes().Create(t.Context(), &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("home-%d", i)},
			Spec: corev1.PersistentVolumeSpec{
				Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, StorageClassName: "homes",
				AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: fmt.Sprintf("/nowhere/home-%d", i)}},
			},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
}

// left is all that is in the servers' namespace.
type left struct {
	pods    []corev1.Pod
	secrets map[string]corev1.Secret
	claims  []corev1.PersistentVolumeClaim
}

func (p *people) list(ctx context.Context) (*left, error) {
	core := p.Admin.CoreV1()
	pods, podsErr := core.Pods(fleet.Namespace).List(ctx, metav1.ListOptions{})
	secrets, secretsErr := core.Secrets(fleet.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + secretType})
	claims, claimsErr := core.PersistentVolumeClaims(fleet.Namespace).List(ctx, metav1.ListOptions{})
	if err := errors.Join(podsErr, secretsErr, claimsErr); err != nil {
		return nil, err
	}
	l := &left{pods: pods.Items, claims: claims.Items, secrets: map[string]corev1.Secret{}}
	for _, s := range secrets.Items {
		l.secrets[s.Name] = s
	}
	return l, nil
}

// awaitLeft waits for what is to be left, and gives what was seen last, so that it can be told what is wrong with it.
func (p *people) awaitLeft(t *testing.T, what string, enough func(*left) bool) *left {
	t.Helper()
	var seen *left
	assert.NoError(t, await(t.Context(), what, func(ctx context.Context) (bool, error) {
		l, err := p.list(ctx)
		if err != nil {
			return false, err
		}
		seen = l
		return enough(l), nil
	}))
	require.NotNil(t, seen, "the API server never told what is there")
	return seen
}

// verify looks at everything: one pod, one Secret and one claim for each server that is to be there, and nothing else. Whoever has no
// server was deleted.
func (p *people) verify(t *testing.T, users []string) {
	t.Helper()
	// A pod that was deleted last is on its way, its Secret goes with the garbage collection, and a deleted user's claim after both.
	l := p.awaitLeft(t, "as many pods, Secrets and claims as servers", func(l *left) bool {
		return len(l.pods) == len(p.stays) && len(l.secrets) == len(p.stays) && len(l.claims) == len(p.stays)
	})
	t.Logf("left are %d pods, %d Secrets and %d claims, of %d users, of whom %d want their servers to stay",
		len(l.pods), len(l.secrets), len(l.claims), len(users), len(p.stays))
	assert.Empty(t, p.lost, "servers that went or were replaced though nobody wanted that")
	pods := map[string]int{}
	for i := range l.pods {
		user := l.pods[i].Annotations[policy.AnnotationUsername]
		pods[user]++
		p.verifyServer(t, user, &l.pods[i], l.secrets)
	}
	claims := map[string]int{}
	for _, c := range l.claims {
		claims[c.Annotations[policy.AnnotationUsername]]++
		assert.Equal(t, corev1.ClaimBound, c.Status.Phase, "claim %s", c.Name)
	}
	for _, user := range users {
		want := 0
		if p.stays[user] != "" {
			want = 1
		}
		assert.Equal(t, want, pods[user], "pods of %s", user)
		assert.Equal(t, want, claims[user], "claims of %s", user)
	}
	p.verifyLaunchers(t, len(p.stays))
}

// verifyServer holds a pod to what its user wants and what the hub knows.
func (p *people) verifyServer(t *testing.T, user string, pod *corev1.Pod, secrets map[string]corev1.Secret) {
	t.Helper()
	assert.Equal(t, p.stays[user], pod.UID, "the pod of %s isn't that which was ready last", user)
	assert.Nil(t, pod.DeletionTimestamp, "the pod of %s is going", user)
	assert.Equal(t, corev1.PodRunning, pod.Status.Phase, "the pod of %s", user)
	secret, there := secrets[pod.Annotations[policy.AnnotationEnvSecret]]
	if !assert.True(t, there, "the Secret of the pod of %s isn't there", user) {
		return
	}
	assert.Equal(t, []types.UID{pod.UID}, owners(&secret), "the owner of Secret %s", secret.Name)
	whose, err := p.hub.whose(t.Context(), string(secret.Data["JUPYTERHUB_API_TOKEN"]))
	assert.NoError(t, err, "the hub doesn't know the token that the server of %s has", user)
	assert.Equal(t, user, whose)
	s, err := p.hub.get(t.Context(), user)
	assert.NoError(t, err)
	assert.True(t, s != nil && s.Ready, "the hub doesn't know that the server of %s runs", user)
}

func owners(object metav1.Object) []types.UID {
	var uids []types.UID
	for _, o := range object.GetOwnerReferences() {
		uids = append(uids, o.UID)
	}
	return uids
}

// verifyLaunchers asks each by itself.
func (p *people) verifyLaunchers(t *testing.T, want int) {
	t.Helper()
	for _, u := range p.Launchers {
		require.NoError(t, u.AwaitReady(t.Context()))
		all, _, err := fleet.NewClient(u.Socket).List(t.Context())
		require.NoError(t, err)
		assert.Len(t, all, want, u.Name)
	}
}

// leaveAll deletes all users in the hub: their servers and their homes go with them, and nothing is left.
func (p *people) leaveAll(t *testing.T, users []string) {
	t.Helper()
	for _, user := range users {
		require.NoError(t, p.leave(t.Context(), user))
	}
	l := p.awaitLeft(t, "nothing is left of deleted users", func(l *left) bool {
		return len(l.pods)+len(l.secrets)+len(l.claims) == 0
	})
	t.Logf("after all users were deleted, %d pods, %d Secrets and %d claims are left", len(l.pods), len(l.secrets), len(l.claims))
}
