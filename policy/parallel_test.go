package policy

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Plans are shared between requests: what one computes must not show in another.
func TestManyServersAtOnceComputeTheirOwn(t *testing.T) {
	c := compiled(t, baseline+clusterwide("e", `{enforced: {nodeSelector: {pool: users}, volumes: {shared: {emptyDir: {}}}}}`)+namespaced("n", `{
		defaults: {environment: {A: "{username}"}, volumes: {home: {emptyDir: {}}}},
		expressions: {"environment[WHO]": "user.name", nodeSelector: "{'of': user.name}", "volumes[home]": "{'emptyDir': {'medium': 'Memory'}}", "extraLabels[of]": "user.name"},
		mutations: [{patchType: JSONPatch, expression: "[JSONPatch{op: 'add', path: '/spec/hostname', value: user.name}]"}],
		validations: [{expression: "object.spec.hostname == user.name"}]}`))
	var running sync.WaitGroup
	for i := range 8 {
		name := string(rune('a' + i))
		running.Go(func() {
			in := aliceIn("research")
			in.Identity.User = name
			for range 50 {
				r, err := c.Apply(in)
				if !assert.NoError(t, err) || !assert.Empty(t, r.Denials) {
					return
				}
				assert.Equal(t, name+name+name+name, envOf(r.Pod)["WHO"]+r.Pod.Spec.NodeSelector["of"]+r.Pod.Labels["of"]+r.Pod.Spec.Hostname)
				denials, known := c.Verify(in, r.Pod)
				assert.True(t, known)
				assert.Empty(t, denials)
			}
		})
	}
	running.Wait()
}
