package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

func TestAFittedPodWhosePolicyIsAuditedNowIsNotDenied(t *testing.T) {
	decoded, err := policy.Decode("audit", []byte(audits))
	require.NoError(t, err)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "home", Name: "jupyter-alice", Labels: map[string]string{policy.LabelHub: "main"},
			Annotations: map[string]string{policy.AnnotationUsername: "alice", policy.AnnotationApplied: `{"hash":"x"}`},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: policy.NotebookContainer, Image: "a:1"}}},
	}

	result, err := policy.Compile(decoded).Apply(runningInput(pod))

	require.NoError(t, err)
	assert.Empty(t, result.Denials)
	assert.True(t, result.Untouched)
	assert.True(t, policy.IsFitted(pod), "it is left as it is")
}
