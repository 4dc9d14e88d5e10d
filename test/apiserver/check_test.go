package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/cmd/slipway/check"
	"github.com/slipway-hub/slipway/test/world"
)

// broken is an installation that was broken on purpose.
type broken struct {
	name string
	how  func(t *testing.T, s *site)
	// want is a finding that has to be there: its texts are parts of what it says.
	want check.Finding
	// alsoAlarms are other checks that see it too, and have to: no others may warn.
	alsoAlarms []string
	options    check.Options
}

const upgrade = "helm upgrade --install slipway CHART --namespace slipway-system"

func TestCheckFindsWhatIsBrokenAndNamesTheMend(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.awaitGood(t)
	for _, b := range slices.Concat(brokenDefinitions, brokenConfigurations, brokenCertificates, brokenSurroundings, brokenRights) {
		t.Run(b.name, func(t *testing.T) {
			t.Cleanup(func() { s.awaitGood(t) })
			b.how(t, s)
			var report *check.Report
			require.NoError(t, world.Eventually(t.Context(), func() error {
				var err error
				if report, err = s.look(t.Context(), b.options); err != nil {
					return err
				}
				return finds(report, &b)
			}))
			var table bytes.Buffer
			require.NoError(t, check.WriteTable(&table, report))
			t.Log("\n" + table.String())
		})
	}
	t.Run("somebody without rights hears which are missing", s.withoutRights)
}

// finds wants the finding, and no alarm of a check that has nothing to do with it.
func finds(r *check.Report, b *broken) error {
	seen := false
	var errs []error
	for _, f := range r.Findings {
		seen = seen || f.Severity == b.want.Severity && f.Check == b.want.Check && strings.Contains(f.Object, b.want.Object) &&
			strings.Contains(f.Field, b.want.Field) && strings.Contains(f.Message, b.want.Message) && strings.Contains(f.Mend, b.want.Mend)
		alarm := f.Severity == check.Wrong || f.Severity == check.Warning || f.Severity == check.Unseen
		if alarm && f.Check != b.want.Check && !slices.Contains(b.alsoAlarms, f.Check) {
			errs = append(errs, fmt.Errorf("false alarm: %+v", f))
		}
	}
	if !seen {
		errs = append(errs, fmt.Errorf("not found: %+v in:\n%w", b.want, alarms(r, check.Note, check.Warning, check.Wrong, check.Unseen)))
	}
	return errors.Join(errs...)
}

// withoutRights looks as an account that has no right but what everybody has.
func (s *site) withoutRights(t *testing.T) {
	require.NoError(t, s.Cluster.EnsureServiceAccount(t.Context(), "default", "nobody"))
	config, err := s.Token(t.Context(), "default", "nobody")
	require.NoError(t, err)
	r, err := s.look(t.Context(), check.Options{Config: config})
	require.NoError(t, err)
	require.NoError(t, alarms(r, check.Wrong, check.Warning), "what isn't seen isn't wrong")
	assert.Positive(t, r.Count(check.OK), "the API server's version is for everybody")
	text := fmt.Sprint(alarms(r, check.Unseen))
	for _, right := range []string{
		"list mutatingwebhookconfigurations.admissionregistration.k8s.io", "get customresourcedefinitions.apiextensions.k8s.io",
		"get deployments.apps in namespace slipway-system", "list pods", "list clusterspawnpolicies.slipway.dev",
	} {
		assert.Contains(t, text, "you have no right to "+right)
	}

	s.grant(t, "default", "nobody", rbacv1.PolicyRule{
		APIGroups: []string{"admissionregistration.k8s.io"}, Verbs: []string{"list"},
		Resources: []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"},
	})
	r, err = s.look(t.Context(), check.Options{Config: config})
	require.NoError(t, err)
	text = fmt.Sprint(alarms(r, check.Unseen))
	assert.Contains(t, text, "you have no right to get secrets in namespace slipway-system")
	assert.Contains(t, text, "you have no right to create pods in namespace default")
	assert.NoError(t, alarms(r, check.Wrong, check.Warning))
}

// grant gives an account a right in the whole cluster until the test is over.
func (s *site) grant(t *testing.T, namespace, name string, rule rbacv1.PolicyRule) {
	t.Helper()
	const role = "too-much"
	require.NoError(t, s.Grant(t.Context(), role, namespace, name, []rbacv1.PolicyRule{rule}))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, errors.Join(
			s.Admin.RbacV1().ClusterRoleBindings().Delete(ctx, role, metav1.DeleteOptions{}),
			s.Admin.RbacV1().ClusterRoles().Delete(ctx, role, metav1.DeleteOptions{}),
		))
	})
}

// put writes a policy, which goes with the test.
func (s *site) put(t *testing.T, manifest string) {
	t.Helper()
	_, err := s.Cluster.Kubectl(t.Context(), strings.NewReader(manifest), "apply", "-f", "-")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := s.Cluster.Kubectl(context.WithoutCancel(t.Context()), strings.NewReader(manifest), "delete", "-f", "-")
		require.NoError(t, err)
	})
}

func (s *site) createMutating(t *testing.T, c *admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	api := s.Admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := api.Create(t.Context(), c, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, api.Delete(context.WithoutCancel(t.Context()), c.Name, metav1.DeleteOptions{}))
	})
}
