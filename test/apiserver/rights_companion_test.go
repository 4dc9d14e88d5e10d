package apiserver

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// until does something again and again, until the replica was refused what it has no right to: the world's own leader does the same
// work, and often comes first.
func (d *deprived) until(t *testing.T, again func(c *companionTest, round int)) {
	t.Helper()
	c := newCompanionTest(t, home, deletable, served)
	c.class(t, true)
	const most = 50
	for round := range most {
		if len(d.refused) > 0 {
			return
		}
		again(c, round)
	}
}

// user launches a server for somebody who has none yet.
func (c *companionTest) user(t *testing.T, round int) *corev1.Pod {
	t.Helper()
	name := fmt.Sprintf("user%d", round)
	pod, err := launcher.Launch(t.Context(), c.Hub, policy.Identity{Name: "jupyter-" + name, Hub: "main", User: name}, c.namespace, launcher.Options{})
	require.NoError(t, err)
	return pod
}

func (d *deprived) needsClaims(t *testing.T) {
	t.Helper()
	d.until(t, func(c *companionTest, round int) {
		c.user(t, round)
		c.awaitClaim(t, fmt.Sprintf("claim-user%d", round), nil)
	})
}

func (d *deprived) needsLargerClaims(t *testing.T) {
	t.Helper()
	d.until(t, func(c *companionTest, round int) {
		if round == 0 {
			c.launch(t)
			c.bind(t, c.awaitClaim(t, "claim-alice", nil))
		}
		size := fmt.Sprintf("%dGi", 11+round)
		c.change(t, "home", `{"spec":{"defaults":{"storageCapacity":"`+size+`"}}}`)
		c.awaitClaim(t, "claim-alice", hasSize(size))
	})
}

func (d *deprived) isAskedToDelete(t *testing.T) {
	t.Helper()
	d.until(t, func(c *companionTest, _ int) {
		pod := c.launch(t)
		c.awaitClaim(t, "claim-alice", nil)
		c.Remove(t, pod)
		c.requestDeletion(t)
		c.awaitClaim(t, "claim-alice", isDeleted)
		c.removeClaim(t, "claim-alice")
	})
}

func (d *deprived) needsServices(t *testing.T) {
	t.Helper()
	d.until(t, func(c *companionTest, round int) {
		c.awaitService(t, c.user(t, round), "")
	})
}

func (d *deprived) needsRoomForServices(t *testing.T) {
	t.Helper()
	d.until(t, func(c *companionTest, _ int) {
		before := c.launch(t)
		service := c.awaitService(t, before, "")
		c.Remove(t, before)
		after := c.launch(t)
		c.awaitService(t, after, service.UID)
		c.Remove(t, after)
		require.NoError(t, c.Admin.CoreV1().Services(c.namespace).Delete(t.Context(), after.Name, metav1.DeleteOptions{}))
	})
}
