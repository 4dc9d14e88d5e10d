package kube

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

//go:embed kwok.yaml
var kwokConfiguration []byte

// fakeNodeLabel marks the nodes that are kwok's, as its configuration says.
var fakeNodeLabel = map[string]string{"slipway.dev/test-node": "fake"}

// startFakeNodes starts kwok and makes its nodes, and returns when pods can be
// scheduled on all of them.
func (p *plane) startFakeNodes(ctx context.Context) error {
	file := filepath.Join(p.scratch.dir, "kwok.yaml")
	if err := os.WriteFile(file, kwokConfiguration, 0o600); err != nil {
		return fmt.Errorf("write the configuration of kwok: %w", err)
	}
	for i := range p.options.FakeNodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("fake-%d", i), Labels: fakeNodeLabel}}
		created, err := p.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("make a node for kwok: %w", err)
		}
		// The API server puts a taint on it, which only a controller manager takes away.
		created.Spec.Taints = nil
		if _, err := p.client.CoreV1().Nodes().Update(ctx, created, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("open a node of kwok for pods: %w", err)
		}
	}
	return p.run(ctx, command(filepath.Join(p.kwok, "kwok"), "--config="+file, "--kubeconfig="+p.kubeconfig), p.fakeNodesReady)
}

// fakeNodesReady checks that all of them say that they are, and that nothing
// keeps pods off: a controller manager does for a moment.
func (p *plane) fakeNodesReady(ctx context.Context) error {
	nodes, err := p.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: labelsOf(fakeNodeLabel)})
	if err != nil {
		return err
	}
	for _, node := range nodes.Items {
		if len(node.Spec.Taints) > 0 {
			return fmt.Errorf("node %s keeps pods off: %s", node.Name, node.Spec.Taints[0].Key)
		}
		if node.Status.Allocatable.Pods().IsZero() {
			return errors.New("node " + node.Name + " doesn't say yet what it has")
		}
	}
	return nil
}

func labelsOf(set map[string]string) string {
	return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: set})
}
