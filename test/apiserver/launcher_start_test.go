package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/test/world"
)

// aLauncher is a running replica, by the hub's own account with the chart's rights: so the chart's admission policies hold for it.
func aLauncher(t *testing.T, w *world.World, namespace string, changes ...func(*launcher.Config)) *launcher.Launcher {
	t.Helper()
	grantLauncher(t, w)
	config := launcher.Config{Rest: w.HubConfig(), Namespaces: []string{namespace}, Hubs: []string{"main"}}
	for _, change := range changes {
		change(&config)
	}
	return runningLauncher(t, config)
}

// runningLauncher is one that is ready, and ends with the test.
func runningLauncher(t *testing.T, config launcher.Config) *launcher.Launcher {
	t.Helper()
	l, err := launcher.New(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	require.NoError(t, world.Eventually(t.Context(), l.Ready))
	return l
}

var grantOnce sync.Once

func grantLauncher(t *testing.T, w *world.World) {
	t.Helper()
	grantOnce.Do(func() {
		rights := launcherRights(t).Everywhere
		require.NoError(t, w.Grant(t.Context(), "test-launcher-library", world.HubNamespace, world.HubAccount, rights))
	})
}

// aliceStarts asks for alice's default server.
func aliceStarts(startID string) launcher.Request {
	return launcher.Request{
		Key: launcher.Key{Hub: "main", User: "alice"}, StartID: startID,
		Env: map[string]string{"JUPYTERHUB_API_TOKEN": "token of " + startID, "JUPYTERHUB_USER": "alice"}, Timeout: world.Soon,
	}
}

// hubCourse is course, with the hub's environment let through.
const hubCourse = course + `  hubEnv: ["JUPYTERHUB_*"]
`

func podsOf(t *testing.T, w *world.World, namespace string) []corev1.Pod {
	t.Helper()
	list, err := w.Admin.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	return list.Items
}

// requireOneServer wants one pod, and the one Secret that it names, its own, with this token.
func requireOneServer(t *testing.T, w *world.World, namespace, startID string) *corev1.Pod {
	t.Helper()
	pods := podsOf(t, w, namespace)
	require.Len(t, pods, 1)
	pod := &pods[0]
	secrets, err := w.Admin.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var own []corev1.Secret
	for _, s := range secrets.Items { // no garbage collector runs here
		if len(s.OwnerReferences) == 1 && s.OwnerReferences[0].UID == pod.UID {
			own = append(own, s)
		}
	}
	require.Len(t, own, 1)
	s := own[0]
	assert.Equal(t, pod.Annotations[policy.AnnotationEnvSecret], s.Name)
	assert.Equal(t, corev1.SecretType("slipway.dev/env"), s.Type)
	assert.True(t, *s.Immutable)
	assert.Equal(t, "token of "+startID, string(s.Data["JUPYTERHUB_API_TOKEN"]))
	return pod
}

func TestAServerStartsWithItsEnvironmentInASecretOfItsOwn(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	l := aLauncher(t, w, ns)
	server, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	pod := requireOneServer(t, w, ns, "one")
	assert.Equal(t, string(pod.UID), server.UID)
	assert.Equal(t, launcher.Pending, server.State)
	assert.Equal(t, "jupyter-alice", server.Pod)
	assert.Equal(t, ns, server.Namespace)
	assert.Equal(t, pod.Name+"-env-"+server.StartID8, pod.Annotations[policy.AnnotationEnvSecret])
	token := pod.Spec.Containers[0].Env[variableAt(pod.Spec.Containers[0].Env, "JUPYTERHUB_API_TOKEN")]
	assert.Empty(t, token.Value, "the token isn't in the pod")
	assert.Equal(t, pod.Annotations[policy.AnnotationEnvSecret], token.ValueFrom.SecretKeyRef.Name)

	got, err := l.Get(server.Key)
	require.NoError(t, err)
	assert.Equal(t, server, got)
	assert.Equal(t, []*launcher.Server{server}, l.List("main"))
}

func variableAt(env []corev1.EnvVar, name string) int {
	for i := range env {
		if env[i].Name == name {
			return i
		}
	}
	return -1
}

func TestOneStartIsOnePodHoweverOftenItIsAskedFor(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	replicas := []*launcher.Launcher{aLauncher(t, w, ns), aLauncher(t, w, ns)}
	const each = 4
	var wait sync.WaitGroup
	uids := make(chan string, each*len(replicas))
	for _, l := range replicas {
		for range each {
			wait.Go(func() {
				server, err := l.Start(t.Context(), aliceStarts("one"))
				if assert.NoError(t, err) {
					uids <- server.UID
				}
			})
		}
	}
	wait.Wait()
	close(uids)
	pod := requireOneServer(t, w, ns, "one")
	for uid := range uids {
		assert.Equal(t, string(pod.UID), uid)
	}
}

// crashing ends a launcher at its nth writing request: before it is sent, or once it is done and the answer is on its way.
type crashing struct {
	http.RoundTripper

	mu    sync.Mutex
	left  int
	after bool
	crash context.CancelFunc
}

func (c *crashing) RoundTrip(r *http.Request) (*http.Response, error) {
	writes := r.Method == http.MethodPost && !strings.Contains(r.URL.Path, "selfsubjectreviews") || r.Method == http.MethodDelete
	c.mu.Lock()
	if writes {
		c.left--
	}
	now, dead := writes && c.left == 0, c.left <= 0
	c.mu.Unlock()
	switch {
	case now && c.after:
		answer, err := c.RoundTripper.RoundTrip(r)
		if err == nil {
			err = answer.Body.Close()
		}
		c.crash()
		return nil, errors.Join(err, errors.New("crashed"))
	case now:
		c.crash()
		return nil, errors.New("crashed")
	case dead && writes:
		return nil, errors.New("crashed before")
	}
	return c.RoundTripper.RoundTrip(r)
}

func TestAStartThatCrashedAtAnyStepIsTakenUp(t *testing.T) {
	w := world.ForTest(t)
	for _, replaces := range []bool{false, true} {
		steps := 2 // pod, Secret
		if replaces {
			steps = 4 // pod (refused), deletion, pod, Secret
		}
		for step := 1; step <= steps; step++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("replaces %v, step %d, after %v", replaces, step, after), func(t *testing.T) {
					ns := w.Namespace(t)
					w.Put(t, ns, world.HubLaunches, hubCourse)
					if replaces {
						_, err := aLauncher(t, w, ns).Start(t.Context(), aliceStarts("before"))
						require.NoError(t, err)
					}
					ctx, crash := context.WithCancel(t.Context())
					defer crash()
					first := aLauncher(t, w, ns, func(c *launcher.Config) {
						c.Rest.Wrap(func(rt http.RoundTripper) http.RoundTripper {
							return &crashing{RoundTripper: rt, left: step, after: after, crash: crash}
						})
					})
					_, err := first.Start(ctx, aliceStarts("one"))
					require.Error(t, err)

					server, err := aLauncher(t, w, ns).Start(t.Context(), aliceStarts("one"))
					require.NoError(t, err)
					pod := requireOneServer(t, w, ns, "one")
					assert.Equal(t, string(pod.UID), server.UID)
				})
			}
		}
	}
}

func TestAnotherStartReplacesTheServer(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	l, other := aLauncher(t, w, ns), aLauncher(t, w, ns)
	first, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	second, err := other.Start(t.Context(), aliceStarts("two"))
	require.NoError(t, err)
	assert.NotEqual(t, first.UID, second.UID)
	requireOneServer(t, w, ns, "two")

	t.Run("a stopped one", func(t *testing.T) {
		setStatus(t, w, ns, "jupyter-alice", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "the node was low on memory"})
		third, err := l.Start(t.Context(), aliceStarts("three"))
		require.NoError(t, err)
		assert.NotEqual(t, second.UID, third.UID)
		requireOneServer(t, w, ns, "three")
	})
	t.Run("one that is going", func(t *testing.T) {
		bind(t, w, ns, "jupyter-alice")
		pods := w.Admin.CoreV1().Pods(ns)
		require.NoError(t, pods.Delete(t.Context(), "jupyter-alice", metav1.DeleteOptions{GracePeriodSeconds: new(int64(3600))}))
		said := make(chan string, 100)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		started := make(chan error, 1)
		go func() {
			_, err := l.Start(ctx, aliceStarts("four"))
			started <- err
		}()
		go func() {
			for step := range l.Progress(ctx, aliceStarts("").Key, "") {
				said <- step.Message
			}
		}()
		for m := range said {
			if m == "Waiting until the server's last run has ended" {
				break
			}
		}
		require.NoError(t, pods.Delete(t.Context(), "jupyter-alice", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
		require.NoError(t, <-started)
		requireOneServer(t, w, ns, "four")
	})
	t.Run("not the same start once more after it was stopped", func(t *testing.T) {
		bind(t, w, ns, "jupyter-alice")
		require.NoError(t, w.Admin.CoreV1().Pods(ns).Delete(t.Context(), "jupyter-alice", metav1.DeleteOptions{GracePeriodSeconds: new(int64(3600))}))
		_, err := l.Start(t.Context(), aliceStarts("four"))
		require.ErrorContains(t, err, "was stopped: start it anew")
	})
}

func TestAServerHasOnePodAlsoWherePolicyNamesItDifferently(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	l := aLauncher(t, w, ns)
	first, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	w.Put(t, ns, "\nkind: SpawnPolicy\nmetadata: {name: renamed}\nspec: {enforced: {podNameTemplate: 'nb-{username}'}}\n")
	again, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	assert.Equal(t, first.UID, again.UID, "it is the same start")
	server, err := l.Start(t.Context(), aliceStarts("two"))
	require.NoError(t, err)
	assert.Equal(t, "nb-alice", server.Pod)
	requireOneServer(t, w, ns, "two")
}

func TestAPodOfAnotherHubOrUserIsLeftAlone(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse, "\nkind: SpawnPolicy\nmetadata: {name: one-name}\nspec: {enforced: {podNameTemplate: everybody}}\n")
	l := aLauncher(t, w, ns, func(c *launcher.Config) { c.Hubs = []string{"main", "other"} })
	_, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*launcher.Request)
		says   string
	}{
		"hub":    {func(r *launcher.Request) { r.Hub = "other" }, "is there already and is a server of another hub"},
		"user":   {func(r *launcher.Request) { r.User = "bob" }, `is there already and is the server of user "alice" of hub "main"`},
		"server": {func(r *launcher.Request) { r.Name = "lab" }, `is there already and is the server of user "alice" of hub "main"`},
	} {
		t.Run(name, func(t *testing.T) {
			req := aliceStarts("two")
			c.change(&req)
			_, err := l.Start(t.Context(), req)
			d, ok := errors.AsType[*launcher.Denied](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, []policy.Code{policy.IdentityConflict}, d.Codes())
			assert.Contains(t, err.Error(), c.says)
		})
	}
	requireOneServer(t, w, ns, "one")
}

func TestADenialReachesTheUserWhole(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse, "\nkind: SpawnPolicy\nmetadata: {name: bounds}\nspec: {constraints: {memLimit: {max: 2Gi}, image: {allow: ['quay.io/other/*']}}}\n")
	_, err := aLauncher(t, w, ns).Start(t.Context(), aliceStarts("one"))
	d, ok := errors.AsType[*launcher.Denied](err)
	require.True(t, ok, "%v", err)
	assert.False(t, d.Retryable())
	require.Greater(t, len(d.Reasons), 1)
	for _, r := range d.Reasons {
		assert.Equal(t, policy.ConstraintViolated, r.Code)
		assert.Contains(t, err.Error(), "SpawnPolicy "+ns+"/bounds: "+r.Field+": ")
		assert.Contains(t, err.Error(), strings.TrimPrefix(r.Message, "SpawnPolicy "+ns+"/bounds: "))
	}
	assert.Empty(t, podsOf(t, w, ns))
}

func TestAProfileOfOthersIsDeniedBeforeAnythingIsAsked(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse, "\nkind: SpawnPolicy\nmetadata: {name: choice}\nspec: {profiles: [{slug: small}, {slug: gpu, allowedGroups: [staff]}]}\n")
	l := aLauncher(t, w, ns)
	req := aliceStarts("one")
	offer, err := l.Profiles(t.Context(), req)
	require.NoError(t, err)
	require.Len(t, offer.Profiles, 1)
	assert.Equal(t, "small", offer.Profiles[0].Slug)
	req.Profile = "gpu"
	_, err = l.Start(t.Context(), req)
	d, ok := errors.AsType[*launcher.Denied](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, []policy.Code{policy.ProfileNotAllowed}, d.Codes())
	req.Groups = []string{"staff"}
	offer, err = l.Profiles(t.Context(), req)
	require.NoError(t, err)
	assert.Len(t, offer.Profiles, 2)
	server, err := l.Start(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "gpu", server.Profile)
}

func TestAQuotaIsNoDenial(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	none := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
	quotas := w.Admin.CoreV1().ResourceQuotas(ns)
	quota, err := quotas.Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "small"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}, metav1.CreateOptions{})
	require.NoError(t, err)
	quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none} // the quota controller's part
	_, err = quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{})
	require.NoError(t, err)
	l := aLauncher(t, w, ns)
	require.NoError(t, world.Eventually(t.Context(), func() error {
		_, err := l.Start(t.Context(), aliceStarts("one"))
		f, ok := errors.AsType[*launcher.Failure](err)
		if !ok || !strings.Contains(f.Message, "the quota of namespace "+ns+" is used up: exceeded quota: small") {
			_, stopErr := l.Stop(t.Context(), aliceStarts("").Key, launcher.StopOptions{Wait: world.Soon})
			return errors.Join(fmt.Errorf("the quota isn't known yet: %w", err), stopErr)
		}
		assert.True(t, f.Hopeless)
		return nil
	}))
	assert.Empty(t, podsOf(t, w, ns))
}

// A namespace's labels select policies, and the launcher doesn't watch namespaces.
func TestAStartReadsLabelsAgainWhenPolicyDoesntMatch(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	l := aLauncher(t, w, ns)
	w.Put(t, ns, "\nkind: ClusterSpawnPolicy\nmetadata: {name: NAMESPACE-late}\nspec: {namespaceSelector: {matchLabels: {late: NAMESPACE}}, enforced: {podNameTemplate: 'late-{username}'}}\n")
	_, err := l.Start(t.Context(), aliceStarts("one"))
	require.NoError(t, err)
	there, err := w.Admin.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
	require.NoError(t, err)
	there.Labels["late"] = ns
	_, err = w.Admin.CoreV1().Namespaces().Update(t.Context(), there, metav1.UpdateOptions{})
	require.NoError(t, err)
	w.SettleNamespace(t, ns)
	server, err := l.Start(t.Context(), aliceStarts("two"))
	require.NoError(t, err)
	assert.Equal(t, "late-alice", server.Pod)
}

// Nothing but the webhook completes a skeleton: while it is down, a start waits.
func TestAStartWaitsForTheWebhook(t *testing.T) {
	w := world.ForTest(t)
	ns := w.Namespace(t)
	w.Put(t, ns, world.HubLaunches, hubCourse)
	l := aLauncher(t, w, ns)
	w.Gate.Closed.Store(true)
	defer w.Gate.Closed.Store(false)
	req := aliceStarts("one")
	started := make(chan error, 1)
	go func() {
		_, err := l.Start(t.Context(), req)
		started <- err
	}()
	for step := range l.Progress(t.Context(), req.Key, "") {
		if step.Message == "The cluster can't answer right now; trying again" {
			w.Gate.Closed.Store(false)
			break
		}
	}
	require.NoError(t, <-started)
	requireOneServer(t, w, ns, "one")

	w.Gate.Closed.Store(true)
	req.StartID, req.Timeout, req.Name = "two", 5*time.Second, "lab"
	_, err := l.Start(t.Context(), req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "wasn't admitted within 5s")
	require.ErrorContains(t, err, "failed calling webhook")
}
