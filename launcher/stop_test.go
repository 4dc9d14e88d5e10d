package launcher_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// The stop comes while the pod's create is on its way, and the API server stores the pod after it.
func TestAServerThatIsStoppedWhileItIsCreatedDoesntComeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		inCreate, goOn := make(chan struct{}), make(chan struct{})
		l := onFakes(t, client)
		synctest.Wait() // a request that is held holds the lock of the fake, for which a watch would wait
		client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			close(inCreate)
			<-goOn
			return false, nil, nil
		})
		started, stopped := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := l.Start(t.Context(), aliceOnce)
			started <- err
		}()
		<-inCreate
		go func() {
			_, err := l.Stop(t.Context(), aliceOnce.Key, launcher.StopOptions{Wait: time.Minute})
			stopped <- err
		}()
		synctest.Wait()
		assert.Empty(t, stopped, "it isn't known yet whether a pod comes")
		close(goOn)
		require.ErrorContains(t, <-started, "was stopped while it started")
		require.NoError(t, <-stopped)
		pods, err := client.CoreV1().Pods("research").List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		assert.Empty(t, pods.Items)
	})
}

func TestEachClaimIsAskedForByItself(t *testing.T) {
	claim := func(name string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
			Namespace: "research", Name: name, Labels: map[string]string{policy.LabelUsername: policy.LabelSlug("alice"), policy.LabelHub: "main"},
			Annotations: map[string]string{policy.AnnotationUsername: "alice"},
		}}
	}
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(claim("a"), claim("b"))
		client.PrependReactor("patch", "persistentvolumeclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if patch, ok := action.(clienttesting.PatchAction); ok && patch.GetName() == "a" { // another account has asked for it already
				return true, nil, apierrors.NewForbidden(corev1.Resource("persistentvolumeclaims"), "a", errors.New("Slipway FieldChanged"))
			}
			return false, nil, nil
		})
		l := onFakes(t, client)
		synctest.Wait()
		asked, err := l.DeleteClaims(t.Context(), launcher.Key{Hub: "main", User: "alice"}, true)
		require.NoError(t, err)
		require.Len(t, asked, 1)
		assert.Equal(t, "b", asked[0].Name)
	})
}
