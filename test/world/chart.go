package world

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where the chart is, and the helm that renders it, from a test's folder.
const (
	chartFolder = "../../charts/slipway"
	helmModule  = "../../tools/helm/go.mod"
)

// User names that the chart's values list.
const (
	// DaemonSetController needs no hub label for its pods in a governed namespace.
	DaemonSetController = "system:serviceaccount:kube-system:daemon-set-controller"
	// Platform may take the mark off a governed namespace.
	Platform = "system:serviceaccount:" + OwnNamespace + ":platform"
	// UserNamespacePolicy is the ClusterSpawnPolicy by which launchers create namespaces. None is there unless a test writes it.
	UserNamespacePolicy = "user-namespaces"
)

// installChart does what a user does who installs the chart, but for the webhook, which the tests run and register themselves, and
// waits until the API server asks every admission policy in it.
func (w *World) installChart(ctx context.Context) error {
	values, err := json.Marshal(map[string]any{
		"launcherAccounts":   []any{map[string]string{"namespace": HubNamespace, "name": HubAccount}},
		"governedNamespaces": map[string][]string{"podsFrom": {DaemonSetController}, "unmarkBy": {Platform}},
		"companionAccount":   map[string]string{"name": webhookAccount},
		"launcher": map[string]any{
			"deleteClaims": true, "clusterWide": true, "userNamespaces": true, "userNamespacePolicy": UserNamespacePolicy,
		},
	})
	if err != nil {
		return err
	}
	objects, err := helm(ctx, string(values), "template", "slipway", chartFolder, "--namespace", OwnNamespace, "--values", "-",
		"--show-only", "templates/admission/*")
	if err != nil {
		return err
	}
	if _, err := w.Cluster.Kubectl(ctx, strings.NewReader(objects), "apply", "-f", "-"); err != nil {
		return err
	}
	return w.awaitAdmissionPolicies(ctx)
}

// helm runs the pinned helm and gives its standard output.
func helm(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "-modfile=" + helmModule, "helm"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// lastPolicy denies one thing that nobody does. The API server takes up policies and bindings in the order in which they were
// written, so it asks all that came before once it asks this one.
const lastPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: last}
spec:
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations: [{expression: object.metadata.name != 'last', message: the last policy is asked}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: last}
spec: {policyName: last, validationActions: [Deny]}
`

func (w *World) awaitAdmissionPolicies(ctx context.Context) error {
	if _, err := w.Cluster.Kubectl(ctx, strings.NewReader(lastPolicy), "apply", "-f", "-"); err != nil {
		return err
	}
	return Eventually(ctx, func() error {
		_, err := w.Admin.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "last"}},
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errors.New("the admission policies aren't asked yet")
		}
		if !strings.Contains(err.Error(), "the last policy is asked") {
			return err
		}
		return nil
	})
}
