package launcher_test

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

const fakePolicy = `
apiVersion: slipway.dev/v1alpha1
kind: SpawnPolicy
metadata: {name: course, namespace: research, uid: "1", generation: 1}
spec: {}
`

// onFakes runs a launcher on clients in memory, in which one namespace and one policy are.
func onFakes(t *testing.T, client *fake.Clientset, changes ...func(*launcher.Config)) *launcher.Launcher {
	t.Helper()
	object := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(fakePolicy), &object.Object))
	kinds := map[schema.GroupVersionResource]string{
		v1alpha1.GroupVersion.WithResource("spawnpolicies"):        "SpawnPolicyList",
		v1alpha1.GroupVersion.WithResource("clusterspawnpolicies"): "ClusterSpawnPolicyList",
	}
	config := launcher.Config{
		Client: client, Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, object),
		Namespaces: []string{"research"}, Hubs: []string{"main"},
	}
	for _, change := range changes {
		change(&config)
	}
	client.PrependReactor("create", "selfsubjectreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{
			UserInfo: authenticationv1.UserInfo{Username: "system:serviceaccount:jupyter:hub"},
		}}, nil
	})
	client.PrependReactor("create", "pods", withUID)
	require.NoError(t, client.Tracker().Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "research"}}))
	l, err := launcher.New(config)
	require.NoError(t, err)
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() { assert.NoError(t, <-ended) })
	return l
}

// withUID gives each pod one, as an API server does.
func withUID(a clienttesting.Action) (bool, runtime.Object, error) {
	if create, ok := a.(clienttesting.CreateAction); ok {
		if pod, ok := create.GetObject().(*corev1.Pod); ok {
			pod.UID = "1"
		}
	}
	return false, nil, nil
}

var aliceOnce = launcher.Request{Key: launcher.Key{Hub: "main", User: "alice"}, StartID: "one", Env: map[string]string{"TOKEN": "x"}}

// failing answers the first writes of a resource so, and counts all.
func failing(client *fake.Clientset, resource string, answers ...error) *atomic.Int32 {
	var asked atomic.Int32
	client.PrependReactor("create", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		if n := int(asked.Add(1)); n <= len(answers) {
			return true, nil, answers[n-1]
		}
		return false, nil, nil
	})
	return &asked
}

func TestAStartTriesAgainWhatMayGoWellLater(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, c := range map[string]struct {
		answer   error
		atLeast  time.Duration
		resource string
	}{
		"policy changed": {answer: answer(http.StatusConflict, metav1.StatusReasonConflict, byWebhook+"Slipway PolicyChanged: try again",
			metav1.StatusCause{Type: "PolicyChanged", Message: "try again"})},
		"others wrote":         {answer: apierrors.NewConflict(schema.GroupResource{Resource: "resourcequotas"}, "q", errors.New("modified"))},
		"too much to do":       {answer: apierrors.NewTooManyRequests("busy", 7), atLeast: 7 * time.Second},
		"the webhook is down":  {answer: apierrors.NewInternalError(errors.New("failed calling webhook"))},
		"etcd is":              {answer: apierrors.NewServerTimeout(pods, "create", 3), atLeast: 3 * time.Second},
		"unavailable":          {answer: apierrors.NewServiceUnavailable("stopping")},
		"nobody answers":       {answer: errors.New("connection refused")},
		"the Secret, later":    {answer: apierrors.NewServiceUnavailable("stopping"), resource: "secrets"},
		"the Secret, answered": {answer: apierrors.NewTooManyRequests("busy", 2), atLeast: 2 * time.Second, resource: "secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				resource := c.resource
				if resource == "" {
					resource = "pods"
				}
				asked := failing(client, resource, c.answer, c.answer, c.answer)
				begun := time.Now()
				server, err := onFakes(t, client).Start(t.Context(), aliceOnce)
				require.NoError(t, err)
				assert.Equal(t, "jupyter-alice", server.Pod)
				assert.Equal(t, int32(4), asked.Load())
				assert.GreaterOrEqual(t, time.Since(begun), 3*c.atLeast)
				assert.Less(t, time.Since(begun), 3*c.atLeast+10*time.Second)
				secrets, err := client.CoreV1().Secrets("research").List(t.Context(), metav1.ListOptions{})
				require.NoError(t, err)
				assert.Len(t, secrets.Items, 1)
			})
		})
	}
}

func TestAStartTriesNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewInternalError(errors.New("failed calling webhook"))
		})
		req := aliceOnce
		req.Timeout = time.Minute
		begun := time.Now()
		_, err := onFakes(t, client).Start(t.Context(), req)
		require.ErrorContains(t, err, `the server of user "alice" of hub "main" wasn't admitted within 1m0s`)
		require.ErrorContains(t, err, "failed calling webhook")
		assert.Equal(t, time.Minute, time.Since(begun))
	})
}

func TestWhatIsFinalIsAskedOnce(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, c := range map[string]struct {
		answer error
		denied policy.Code
		says   string
	}{
		"a denial": {
			answer(http.StatusForbidden, metav1.StatusReasonForbidden, byWebhook+"Slipway ConstraintViolated: too large", metav1.StatusCause{Type: "ConstraintViolated", Message: "too large"}),
			policy.ConstraintViolated, "create pod research/jupyter-alice: Slipway ConstraintViolated: too large",
		},
		"quota": {
			apierrors.NewForbidden(pods, "jupyter-alice", errors.New("exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1")), "",
			"the quota of namespace research is used up: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1; stop another server there, or have the quota raised",
		},
		"a LimitRange":   {apierrors.NewForbidden(pods, "jupyter-alice", errors.New("maximum memory usage per Container is 1Gi")), "", "a LimitRange of namespace research refuses the server: maximum memory"},
		"no right":       {apierrors.NewForbidden(pods, "", errors.New(`User "hub" cannot create resource "pods" in API group ""`)), "", "this launcher lacks a right"},
		"pod security":   {apierrors.NewForbidden(pods, "jupyter-alice", errors.New(`violates PodSecurity "restricted:latest"`)), "", "namespace research enforces pod security"},
		"no namespace":   {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "research"), "", "namespace research doesn't exist"},
		"nobody fits it": {answer(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, `Pod "jupyter-alice" is invalid: spec.containers[0].image: Required value`), "", "nothing completed the server's pod"},
		"invalid":        {answer(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, `Pod "jupyter-alice" is invalid: spec.x`), "", "the server's pod as policy has it is invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				asked := failing(client, "pods", c.answer, c.answer)
				_, err := onFakes(t, client).Start(t.Context(), aliceOnce)
				require.ErrorContains(t, err, c.says)
				require.ErrorIs(t, err, c.answer)
				assert.Equal(t, int32(1), asked.Load())
				d, ok := errors.AsType[*launcher.Denied](err)
				require.Equal(t, c.denied != "", ok)
				if ok {
					assert.Equal(t, []policy.Code{c.denied}, d.Codes())
					return
				}
				f, ok := errors.AsType[*launcher.Failure](err)
				require.True(t, ok)
				assert.True(t, f.Hopeless)
			})
		})
	}
}

// A pod without its Secret could never run.
func TestAPodGoesWhereItsSecretIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		refused := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("exceeded quota: small"))
		failing(client, "secrets", refused)
		_, err := onFakes(t, client).Start(t.Context(), aliceOnce)
		require.ErrorContains(t, err, "the quota of namespace research is used up")
		pods, err := client.CoreV1().Pods("research").List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		assert.Empty(t, pods.Items)
	})
}

// A start that is asked for again after its pod was deleted has the same name for its Secret, and the old one goes with the old pod.
func TestAStartDoesntTakeTheSecretOfAPodThatIsGoneForItsOwn(t *testing.T) {
	left := apierrors.NewAlreadyExists(schema.GroupResource{Resource: "secrets"}, "jupyter-alice-env-x")
	for name, c := range map[string]struct {
		answers []error
		made    int
		atMost  time.Duration
	}{
		"it is collected a moment later":      {[]error{left, left, left}, 1, 5 * time.Second},
		"another call of this start made one": {slices.Repeat([]error{left}, 1000), 0, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				failing(client, "secrets", c.answers...)
				begun := time.Now()
				_, err := onFakes(t, client).Start(t.Context(), aliceOnce)
				require.NoError(t, err)
				assert.Less(t, time.Since(begun), c.atMost)
				secrets, err := client.CoreV1().Secrets("research").List(t.Context(), metav1.ListOptions{})
				require.NoError(t, err)
				assert.Len(t, secrets.Items, c.made)
				assert.Len(t, podsOf(t, client), 1)
			})
		})
	}
}

func TestARequestThatCantBeMetIsToldAtOnce(t *testing.T) {
	l := onFakes(t, fake.NewClientset())
	for name, c := range map[string]struct {
		change func(*launcher.Request)
		says   []string
	}{
		"nothing":         {func(r *launcher.Request) { *r = launcher.Request{} }, []string{"hub", "no user", "no start id"}},
		"another hub":     {func(r *launcher.Request) { r.Hub = "other" }, []string{`hub "other" isn't one that this launcher serves`}},
		"a bad variable":  {func(r *launcher.Request) { r.Env = map[string]string{"A B": ""} }, []string{`"A B" can't be the name`}},
		"a file as one":   {func(r *launcher.Request) { r.Env = map[string]string{"ssl.key": ""} }, []string{"put it among the files"}},
		"another file":    {func(r *launcher.Request) { r.Files = map[string]string{"id_rsa": ""} }, []string{`"id_rsa" is no TLS file`}},
		"a negative time": {func(r *launcher.Request) { r.Timeout = -1 }, []string{"negative"}},
		"another place":   {func(r *launcher.Request) { r.Namespace = "other" }, []string{"namespace other isn't one that this launcher serves"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := aliceOnce
			c.change(&req)
			_, err := l.Start(t.Context(), req)
			f, ok := errors.AsType[*launcher.Failure](err)
			require.True(t, ok, "%v", err)
			assert.True(t, f.Hopeless)
			for _, says := range c.says {
				assert.Contains(t, f.Message, says)
			}
		})
	}
}

func TestALauncherNeedsAHubAndACluster(t *testing.T) {
	_, err := launcher.New(launcher.Config{Client: fake.NewClientset()})
	require.ErrorContains(t, err, "at least one hub")
	_, err = launcher.New(launcher.Config{Hubs: []string{"main"}})
	require.ErrorContains(t, err, "neither Rest nor Client")
	l, err := launcher.New(launcher.Config{Hubs: []string{"main"}, Client: fake.NewClientset(), Dynamic: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme())})
	require.NoError(t, err)
	require.ErrorIs(t, l.Ready(), launcher.ErrNotReady)
	_, err = l.Get(aliceOnce.Key)
	require.ErrorIs(t, err, launcher.ErrNotReady, "nothing is said of what isn't known yet")
}

func TestClaimsAreMarkedForDeletionInTheLaunchersName(t *testing.T) {
	claim := func(name, user, server, hub string) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
			Namespace: "research", Name: name, Labels: map[string]string{policy.LabelUsername: policy.LabelSlug(user), policy.LabelHub: hub},
			Annotations: map[string]string{policy.AnnotationUsername: user},
		}}
		if server != "" {
			c.Annotations[policy.AnnotationServername] = server
		}
		return c
	}
	client := fake.NewClientset(claim("home", "alice", "", "main"), claim("claim-alice--lab", "alice", "lab", "main"), claim("bobs", "bob", "", "main"), claim("others", "alice", "", "other"))
	l := onFakes(t, client)
	require.Eventually(t, func() bool { return l.Ready() == nil }, soon, time.Millisecond)
	key := launcher.Key{Hub: "main", User: "alice", Name: "lab"}
	asked, err := l.DeleteClaims(t.Context(), key, false)
	require.NoError(t, err)
	assert.Equal(t, []launcher.Claim{{Namespace: "research", Name: "claim-alice--lab", Key: key, DeleteRequested: true}}, asked)
	marked, err := client.CoreV1().PersistentVolumeClaims("research").Get(t.Context(), "claim-alice--lab", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "system:serviceaccount:jupyter:hub", marked.Annotations[policy.AnnotationDeleteRequested])
	all, err := l.Claims(t.Context(), "main", "alice")
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.False(t, all[1].DeleteRequested)
	asked, err = l.DeleteClaims(t.Context(), key, true)
	require.NoError(t, err)
	assert.Len(t, asked, 2)

	client.PrependReactor("patch", "persistentvolumeclaims", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "persistentvolumeclaims"}, "home", errors.New("cannot patch"))
	})
	asked, err = l.DeleteClaims(t.Context(), key, true)
	require.NoError(t, err)
	assert.Empty(t, asked, "where claims aren't deleted, the launcher hasn't the right")
}
