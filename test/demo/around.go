package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// shortcut is a policy by which whoever runs the namespace asks for more than the platform's policy allows.
func shortcut(defaults map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "slipway.dev/v1alpha1", "kind": "SpawnPolicy",
		"metadata": map[string]any{"name": "shortcut", "namespace": namespace},
		"spec":     map[string]any{"priority": int64(10), "defaults": defaults},
	}}
}

func mallory() policy.Identity {
	return policy.Identity{Name: "jupyter-mallory", Hub: hub, User: "mallory"}
}

// getAround tries to get more than policy gives, from both sides.
func (d *demo) getAround(ctx context.Context) error {
	d.screen.heading("Getting around it")
	for _, attempt := range []func(context.Context) error{d.hubAsksForMore, d.labelIsTakenOff, d.namespaceAsksForMore, d.namespaceUndoes} {
		if err := attempt(ctx); err != nil {
			return err
		}
	}
	return nil
}

// try sends a pod as the hub without having it stored. denied is nil where it is admitted.
func (d *demo) try(ctx context.Context, pod *corev1.Pod) (stored *corev1.Pod, denied error, err error) {
	stored, err = d.hub.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if status, ok := errors.AsType[interface {
		error
		Status() metav1.Status
	}](err); ok && status.Status().Reason == metav1.StatusReasonForbidden {
		return nil, err, nil
	}
	return stored, nil, err
}

// hubAsksForMore: a hub that was broken into decides who, and still not what.
func (d *demo) hubAsksForMore(ctx context.Context) error {
	s := d.screen
	s.sayf("The hub, broken into, sends a pod with an image of its own and the node's network:")
	pod := launcher.Skeleton(mallory(), namespace)
	pod.Spec.HostNetwork = true
	pod.Spec.Containers[0].Image = "example.org/miner"
	_, denied, err := d.try(ctx, pod)
	if err != nil {
		return err
	}
	return d.mustBeDenied(denied, policy.SkeletonNotBare)
}

// labelIsTakenOff: what a pod is, and for whom, can't be changed afterwards either.
func (d *demo) labelIsTakenOff(ctx context.Context) error {
	s := d.screen
	fmt.Fprintln(s.out)
	s.sayf("Somebody who may change pods takes the hub label off alice's pod, so that nobody would look at it any more:")
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, policy.LabelHub)
	var denied error
	// The API server hears of a new webhook configuration within milliseconds, but not within none.
	err := until(ctx, "the verifying webhook is asked", func(ctx context.Context) (bool, error) {
		_, denied = d.admin.CoreV1().Pods(namespace).Patch(ctx, alice().Name, types.MergePatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return denied != nil, nil
	})
	if err != nil {
		return err
	}
	return d.mustBeDenied(denied, policy.FieldChanged)
}

// namespaceAsksForMore: a policy that could only be denied is refused when it is written.
func (d *demo) namespaceAsksForMore(ctx context.Context) error {
	s := d.screen
	fmt.Fprintln(s.out)
	s.sayf("Whoever runs the namespace adds a policy with extraPodConfig: {hostNetwork: true}:")
	greedy := shortcut(map[string]any{"extraPodConfig": map[string]any{"hostNetwork": true}})
	denied := d.plane.create(ctx, greedy)
	if denied != nil && !apierrors.IsInvalid(denied) {
		return denied
	}
	return d.mustBeDenied(denied, policy.PolicyInvalid)
}

// namespaceUndoes: what is enforced is put on the pod once more at the end.
func (d *demo) namespaceUndoes(ctx context.Context) error {
	s := d.screen
	fmt.Fprintln(s.out)
	s.sayf("Then one that makes the container privileged, past all settings, by extraContainerConfig:")
	sly := shortcut(map[string]any{"extraContainerConfig": map[string]any{"securityContext": map[string]any{
		"privileged": true, "runAsUser": int64(0),
	}}})
	if err := d.plane.create(ctx, sly); err != nil {
		return err
	}
	var stored *corev1.Pod
	// The webhook hears of a new policy within milliseconds, but not within none; until then the pod is as alice's.
	err := until(ctx, "the new policy is in force", func(ctx context.Context) (_ bool, err error) {
		stored, _, err = d.try(ctx, launcher.Skeleton(mallory(), namespace))
		return stored != nil && strings.Contains(stored.Annotations[policy.AnnotationApplied], sly.GetName()), err
	})
	if err != nil {
		return err
	}
	if security := stored.Spec.Containers[0].SecurityContext; security != nil && security.Privileged != nil && *security.Privileged {
		return errors.New("the privileged container came through")
	}
	object, err := asObject(stored)
	if err != nil {
		return err
	}
	containers, _, err := unstructured.NestedSlice(object, "spec", "containers")
	if err != nil {
		return err
	}
	notebook, _ := containers[0].(map[string]any)
	s.passed("admitted as " + flow(notebook["securityContext"]) + ": what the platform enforces is put on last.")
	return nil
}

// mustBeDenied shows a denial, if it is the one that was promised.
func (d *demo) mustBeDenied(denied error, code policy.Code) error {
	prefix := "Slipway " + string(code) + ": "
	if denied == nil {
		return fmt.Errorf("it was admitted, and not denied with %s", code)
	}
	_, reason, found := strings.Cut(denied.Error(), prefix)
	if !found {
		return fmt.Errorf("it was denied otherwise than with %s: %w", code, denied)
	}
	d.screen.refused(prefix + reason)
	return nil
}
