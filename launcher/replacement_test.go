package launcher_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// The old pod is watched for a while, goes, and the start that was to replace it is denied.
func TestProgressEndsWhereTheReplacementIsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "research", Name: "jupyter-alice", UID: "old", Labels: map[string]string{policy.LabelHub: "main"},
				Annotations: map[string]string{policy.AnnotationUsername: "alice", policy.AnnotationEnvSecret: "jupyter-alice-env-aaaaaaaa"},
			},
			Status: corev1.PodStatus{Phase: corev1.PodPending},
		}
		client := fake.NewClientset(old)
		l := onFakes(t, client)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var last launcher.Step
		over := make(chan struct{})
		go func() {
			defer close(over)
			for s := range l.Progress(ctx, aliceOnce.Key, "") {
				last = s
			}
		}()
		time.Sleep(20 * time.Second) //nolint:forbidigo // the clock is the test's own
		synctest.Wait()
		tries := 0
		client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			if tries++; tries == 1 {
				return false, nil, nil // AlreadyExists
			}
			return true, nil, answer(http.StatusForbidden, metav1.StatusReasonForbidden, byWebhook+"Slipway ConstraintViolated: too large",
				metav1.StatusCause{Type: "ConstraintViolated", Message: "too large"})
		})
		_, err := l.Start(ctx, aliceOnce)
		require.ErrorContains(t, err, "too large")
		<-over
		require.NoError(t, ctx.Err(), "it never ended by itself")
		assert.True(t, last.Done, last.Message)
	})
}
