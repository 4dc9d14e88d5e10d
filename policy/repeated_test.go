package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Layers are merged before names are expanded: what has one name only then must not replace what is enforced.
func TestNothingTakesTheNameOfWhatIsEnforcedByATemplate(t *testing.T) {
	const (
		volume  = `{enforced: {volumes: {"v-{username}": {emptyDir: {}}}}}`
		literal = `{enforced: {volumes: {v-alice: {emptyDir: {}}}}}`
		setup   = `{enforced: {initContainers: {"i-{username}": {image: good}}}}`
		sidecar = `{enforced: {extraContainers: {"s-{username}": {image: good}}}}`
		mount   = `{enforced: {volumes: {v: {emptyDir: {}}}, volumeMounts: {v: {mountPath: "/m/{username}", readOnly: true}}}}`
	)
	for name, tc := range map[string]struct{ cluster, namespace, field, id string }{
		"a list":                       {volume, `{defaults: {volumes: [{name: v-alice, hostPath: {path: /}}]}}`, "volumes", "v-alice"},
		"a map":                        {volume, `{defaults: {volumes: {v-alice: {hostPath: {path: /}}}}}`, "volumes", "v-alice"},
		"a map, by its name":           {volume, `{defaults: {volumes: {a: {name: v-alice, hostPath: {path: /}}}}}`, "volumes", "v-alice"},
		"another template":             {volume, `{defaults: {volumes: {"v-{unescaped_username}": {hostPath: {path: /}}}}}`, "volumes", "v-alice"},
		"enforced":                     {volume, `{enforced: {volumes: {v-alice: {hostPath: {path: /}}}}}`, "volumes", "v-alice"},
		"an expression that lists":     {volume, `{expressions: {volumes: "[{'name': dyn('v-alice'), 'hostPath': dyn({'path': '/'})}]"}}`, "volumes", "v-alice"},
		"an expression that maps":      {volume, `{expressions: {volumes: "{'v-' + user.name: {'hostPath': {'path': '/'}}}"}}`, "volumes", "v-alice"},
		"an expression for an item":    {volume, `{expressions: {"volumes[v-alice]": "{'hostPath': {'path': '/'}}"}}`, "volumes", "v-alice"},
		"the weaker one by a template": {literal, `{defaults: {volumes: {"a-{username}": {name: "v-{username}", hostPath: {path: /}}}}}`, "volumes", "v-alice"},
		"a placeholder that is empty":  {literal, `{defaults: {volumes: {a: {name: "v-alice{servername}", hostPath: {path: /}}}}}`, "volumes", "v-alice"},
		"init containers":              {setup, `{defaults: {initContainers: [{name: i-alice, image: evil}]}}`, "initContainers", "i-alice"},
		"extra containers":             {sidecar, `{defaults: {extraContainers: {i-alice: {name: s-alice, image: evil}}}}`, "extraContainers", "s-alice"},
		"mounts":                       {mount, `{defaults: {volumeMounts: [{name: v, mountPath: /m/alice}]}}`, "volumeMounts", "/m/alice"},
		"mounts, written otherwise":    {mount, `{expressions: {"volumeMounts[v2]": "{'name': 'v', 'mountPath': '/m/x/../alice/'}"}}`, "volumeMounts", "/m/alice"},
	} {
		for mode, base := range map[string]string{"made": baseline, "kept": keeping} {
			t.Run(mode+" "+name, func(t *testing.T) {
				in := aliceIn("research")
				if base == keeping {
					in = keptInput(t, nil)
				}
				d := denied(t, compiled(t, base+clusterwide("c", tc.cluster)+namespaced("n", tc.namespace)), in)
				require.Len(t, d, 1)
				assert.Equal(t, TemplateInvalid, d[0].Code)
				assert.Equal(t, tc.field, d[0].Field)
				assert.Contains(t, d[0].Message, `gives "`+tc.id+`" twice`)
			})
		}
	}
}
