package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/cmd/internal/server"
	"github.com/slipway-hub/slipway/policy"
)

// refused is what the API server answers with a code and this message.
func refused(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}

var (
	unreachable = refused(http.StatusInternalServerError, metav1.StatusReasonInternalError, `failed calling webhook "mutate.slipway.dev": connection refused`)
	noPolicy    = refused(http.StatusForbidden, metav1.StatusReasonForbidden, `admission webhook "mutate.slipway.dev" denied the request: Slipway NoPolicy: no policy is for it`)
	badName     = refused(http.StatusForbidden, metav1.StatusReasonForbidden, `admission webhook "mutate.slipway.dev" denied the request: Slipway NameMismatch: call it otherwise`)
	weakened    = refused(http.StatusForbidden, metav1.StatusReasonForbidden, `denied request: Slipway NotGoverned: failurePolicy lets such a pod by`)
	quota       = refused(http.StatusForbidden, metav1.StatusReasonForbidden, `exceeded quota`)
)

func TestSelfTestSaysWhetherTheWebhookAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answers []error // one after the other, and the last again and again
		says    string
		fails   string
	}{
		"fitted":                      {[]error{nil}, "server jupyterhub/jupyter-alice is fitted out, by baseline", ""},
		"no policy":                   {[]error{noPolicy}, "The webhook answers: no policy matches yet. Slipway NoPolicy: no policy is for it", ""},
		"refused by policy":           {[]error{badName}, "The webhook answers: policy refuses this server. Slipway NameMismatch: call it otherwise", ""},
		"after a while":               {[]error{unreachable, unreachable, nil}, "Not yet: create pod jupyterhub/jupyter-alice: failed calling webhook", ""},
		"never":                       {[]error{unreachable}, "Not yet", "deadline exceeded; last: create pod jupyterhub/jupyter-alice: failed calling webhook"},
		"held back by the cluster":    {[]error{weakened}, "", "Slipway NotGoverned: failurePolicy lets such a pod by"},
		"forbidden by something else": {[]error{quota}, "Not yet", "exceeded quota"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				answers := c.answers
				client.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
					create, ok := action.(clienttesting.CreateActionImpl)
					require.True(t, ok)
					assert.Equal(t, []string{metav1.DryRunAll}, create.CreateOptions.DryRun)
					answer := answers[0]
					answers = answers[min(1, len(answers)-1):]
					pod, ok := create.Object.(*corev1.Pod)
					require.True(t, ok)
					pod.Annotations[policy.AnnotationApplied] = "baseline"
					return true, pod, answer
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var out bytes.Buffer
				err := selfTest(ctx, client, policy.Identity{Name: "jupyter-alice", Hub: "main", User: "alice"}, "jupyterhub", &out)
				assert.Contains(t, out.String(), c.says)
				if c.fails == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, c.fails)
				assert.Equal(t, server.ExitFailed, server.ExitCode(err))
			})
		})
	}
}

func TestPoliciesAreAppliedOnceTheyAreJudged(t *testing.T) {
	invalid := refused(http.StatusForbidden, metav1.StatusReasonForbidden, `denied the request: Slipway PolicyInvalid: spec.defaults is wrong`)
	policies, err := objectsIn([]byte("kind: ClusterSpawnPolicy\nmetadata: {name: a}\n---\nkind: ClusterSpawnPolicy\nmetadata: {name: b}\n"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		answers []error
		tried   []string
		fails   string
	}{
		"at once":              {[]error{nil, nil}, []string{"a", "b"}, ""},
		"after a while":        {[]error{unreachable, errors.New("no matches for kind"), nil, nil}, []string{"a", "a", "a", "b"}, ""},
		"a policy that is bad": {[]error{nil, invalid}, []string{"a", "b"}, "apply ClusterSpawnPolicy b: Slipway PolicyInvalid: spec.defaults is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var tried []string
				err := apply(ctx, policies, &bytes.Buffer{}, func(o *unstructured.Unstructured) error {
					answer := c.answers[len(tried)]
					tried = append(tried, o.GetName())
					return answer
				})
				assert.Equal(t, c.tried, tried)
				if c.fails == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, c.fails)
			})
		})
	}
}
