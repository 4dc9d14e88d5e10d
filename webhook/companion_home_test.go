package webhook

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/slipway-hub/slipway/policy"
)

// ofUser says of a pod whose it is.
func ofUser(pod *corev1.Pod, hub, user string) *corev1.Pod {
	pod.Labels = map[string]string{policy.LabelHub: hub, policy.LabelUsername: policy.LabelSlug(user)}
	pod.Annotations[policy.AnnotationUsername] = user
	return pod
}

// aliceClaim is alice's home, of the hub main, that a launcher asked to delete.
func aliceClaim() *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "claim-alice", Labels: map[string]string{policy.LabelHub: "main"},
		Annotations: map[string]string{policy.AnnotationUsername: "alice", policy.AnnotationDeleteRequested: "system:serviceaccount:jupyter:hub"},
	}}
}

func eventsIn(t *testing.T, made *companionTerm) []corev1.Event {
	t.Helper()
	all, err := made.core.Events("ns").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	return all.Items
}

// Whoever's pod came first, the other would work in the same home.
func TestAClaimThatTwoUsersWouldShareIsMadeForNeither(t *testing.T) {
	for name, other := range map[string]*corev1.Pod{
		"another user": ofUser(fittedPod("jupyter-bob", "claim-alice"), "main", "bob"),
		"another hub":  ofUser(fittedPod("two-alice", "claim-alice"), "two", "alice"),
	} {
		t.Run(name, func(t *testing.T) {
			pod := ofUser(fittedPod("jupyter-alice", "claim-alice"), "main", "alice")
			made := term(t, pod, other)
			require.NoError(t, made.createClaim(t.Context(), pod, aliceClaim()))
			require.NoError(t, made.createClaim(t.Context(), other, aliceClaim()))
			claims, err := made.core.PersistentVolumeClaims("ns").List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			assert.Empty(t, claims.Items)
			told := eventsIn(t, made)
			require.Len(t, told, 2)
			assert.Contains(t, told[0].Message+told[1].Message, "server "+other.Name+", which is another user's or hub's, would have the same")

			require.NoError(t, made.podsSeen.GetIndexer().Delete(other))
			made.podGone(other)
			next, _ := made.tasks.Get()
			assert.Equal(t, task{taskPod, types.NamespacedName{Namespace: "ns", Name: pod.Name}}, next, "its end has the claim made")
			require.NoError(t, made.createClaim(t.Context(), pod, aliceClaim()))
			_, err = made.core.PersistentVolumeClaims("ns").Get(t.Context(), "claim-alice", metav1.GetOptions{})
			assert.NoError(t, err)
		})
	}
}

func TestTheSameUsersServersShareAHome(t *testing.T) {
	pod := ofUser(fittedPod("jupyter-alice", "claim-alice"), "main", "alice")
	made := term(t, pod, ofUser(fittedPod("jupyter-alice--lab", "claim-alice"), "main", "alice"))
	require.NoError(t, made.createClaim(t.Context(), pod, aliceClaim()))
	_, err := made.core.PersistentVolumeClaims("ns").Get(t.Context(), "claim-alice", metav1.GetOptions{})
	assert.NoError(t, err)
}

// Users of two hubs may have one name.
func TestWhichServersKeepAClaim(t *testing.T) {
	relabelled := ofUser(fittedPod("kept", "claim-alice"), "main", "alice")
	relabelled.Labels[policy.LabelUsername] = "another-slug"
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		uses bool
	}{
		"another hub's of that name with another home": {ofUser(fittedPod("two", "other"), "two", "alice"), false},
		"another hub's of that name":                   {ofUser(fittedPod("two", "claim-alice"), "two", "alice"), true},
		"one that isn't labelled as launchers do":      {relabelled, true},
		"the user's own that has gone":                 {ofUser(fittedPod("gone", "claim-alice"), "main", "alice"), false},
	} {
		t.Run(name, func(t *testing.T) {
			why, ending, err := term(t, c.pod).inUse(t.Context(), aliceClaim())
			require.NoError(t, err)
			assert.False(t, ending)
			assert.Equal(t, c.uses, why != "", why)
		})
	}
}

// Else the end of the new server would carry out what was asked for before it was there.
func TestANewServerHasARequestToDeleteItsClaimJudgedAgain(t *testing.T) {
	made := term(t)
	require.NoError(t, made.claimsSeen.GetIndexer().Add(aliceClaim()))
	made.podCame(ofUser(fittedPod("jupyter-alice--lab"), "main", "alice"))
	made.podCame(ofUser(fittedPod("jupyter-bob", "claim-alice"), "main", "bob"))
	var claims int
	for made.tasks.Len() > 0 {
		if next, _ := made.tasks.Get(); next.of == taskClaim {
			claims++
			made.tasks.Done(next)
		}
	}
	assert.Equal(t, 1, claims)
}

// A class that begins at once under a broken policy has more to be told than may be written at once.
func TestWhatCouldNotBeToldIsToldLater(t *testing.T) {
	made := term(t)
	made.events.limit = flowcontrol.NewFakeNeverRateLimiter()
	pod := fittedPod("a", "home")
	denials := []policy.Denial{{Code: policy.PolicyInvalid, Message: "why"}}
	require.ErrorIs(t, made.tellDenied(t.Context(), pod, denials), errTooManyEvents)
	require.ErrorIs(t, made.refuseDeletion(t.Context(), aliceClaim(), "why"), errTooManyEvents, "the request isn't taken back before it is told why")
	made.events.limit = flowcontrol.NewFakeAlwaysRateLimiter()
	require.NoError(t, made.tellDenied(t.Context(), pod, denials))
	assert.Len(t, eventsIn(t, made), 1)
}

func TestADenialOfWhatIsNeededIsTold(t *testing.T) {
	served := fittedPod("a", "home")
	served.Annotations[policy.AnnotationConnect] = "http://a.ns.svc:8888"
	for name, c := range map[string]struct {
		pod   *corev1.Pod
		has   bool
		code  policy.Code
		told  []string
		again bool
	}{
		"a claim":                      {fittedPod("a", "home"), false, policy.PolicyInvalid, []string{reasonClaimNotMade}, false},
		"a claim and a Service":        {served, false, policy.PolicyInvalid, []string{reasonClaimNotMade, reasonServiceNotMade}, false},
		"a Service alone":              {served, true, policy.PolicyInvalid, []string{reasonServiceNotMade}, false},
		"nothing":                      {fittedPod("a", "home"), true, policy.PolicyInvalid, nil, false},
		"a claim of somebody else's":   {fittedPod("a", "home"), true, policy.IdentityConflict, []string{reasonClaimNotMade}, false},
		"a claim that isn't known yet": {fittedPod("a", "home"), true, policy.PolicyChanged, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			made := term(t)
			if c.has {
				require.NoError(t, made.claimsSeen.GetIndexer().Add(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "home"}}))
			}
			err := made.tellDenied(t.Context(), c.pod, []policy.Denial{{Code: c.code, Message: "why"}})
			assert.Equal(t, c.again, err != nil, "%v", err)
			var reasons []string
			for _, e := range eventsIn(t, made) {
				reasons = append(reasons, e.Reason)
			}
			assert.ElementsMatch(t, c.told, reasons)
		})
	}
}
