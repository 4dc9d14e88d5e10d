package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
)

func TestFilesBesidePoliciesAreReadAsStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"spec: {containers: [{name: a, imgae: b}]}":  `spec.containers[0].imgae: Invalid value: "imgae": unknown field; did you mean image?`,
		"spec: {nodeName: 5}":                        `spec.nodeName: Invalid value: "5": must be text`,
		"spec: {nodeSelector: {a: null}}":            `spec.nodeSelector.a: Invalid value: null: null is no value here: leave the field out`,
		"spec: {}\nspec: {}":                         `key "spec" already set`,
		"spec:\n\tnodeName: a":                       "never with tabs",
		"kind: Pod\n---\nkind: Pod":                  "holds several documents",
		"# nothing":                                  "holds nothing",
		"- a":                                        "must be a map of fields",
		"---\n# comment\n---\nspec: {nodeName: a}\n": "",
	} {
		var pod corev1.Pod
		errs := DecodeInto([]byte(text), &pod)
		if want == "" {
			assert.Empty(t, errs, text)
			assert.Equal(t, "a", pod.Spec.NodeName)
			continue
		}
		assert.Len(t, errs, 1, text)
		assert.Contains(t, errs.ToAggregate().Error(), want, text)
	}
}
