package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/policy"
)

// Rights are an account's.
type Rights struct {
	// Everywhere are those in the whole cluster, Own those in one namespace.
	Everywhere, Own []rbacv1.PolicyRule
}

// Right is one verb on one resource, of one name if it has one.
type Right struct {
	// Own is a right in one namespace.
	Own                         bool
	Verb, Group, Resource, Name string
}

// String names it in tests: VERB RESOURCE or VERB RESOURCE NAME.
func (r Right) String() string { return strings.TrimSpace(r.Verb + " " + r.Resource + " " + r.Name) }

func (r Right) rule() rbacv1.PolicyRule {
	rule := rbacv1.PolicyRule{Verbs: []string{r.Verb}, APIGroups: []string{r.Group}, Resources: []string{r.Resource}}
	if r.Name != "" {
		rule.ResourceNames = []string{r.Name}
	}
	return rule
}

// Each gives every right by itself.
func (r Rights) Each() []Right {
	return append(each(r.Everywhere, false), each(r.Own, true)...)
}

func each(rules []rbacv1.PolicyRule, own bool) []Right {
	var all []Right
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					for _, verb := range rule.Verbs {
						all = append(all, Right{Own: own, Verb: verb, Group: group, Resource: resource, Name: name})
					}
				}
			}
		}
	}
	return all
}

// Without leaves out those for which gone is true.
func (r Rights) Without(gone func(Right) bool) Rights {
	var left Rights
	for _, right := range r.Each() {
		switch {
		case gone(right):
		case right.Own:
			left.Own = append(left.Own, right.rule())
		default:
			left.Everywhere = append(left.Everywhere, right.rule())
		}
	}
	return left
}

// Renamed has other names of objects: those of a test's own webhook configurations.
func (r Rights) Renamed(names map[string]string) Rights {
	rename := func(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
		renamed := slices.Clone(rules)
		for i := range renamed {
			renamed[i].ResourceNames = slices.Clone(renamed[i].ResourceNames)
			for j, name := range renamed[i].ResourceNames {
				if other := names[name]; other != "" {
					renamed[i].ResourceNames[j] = other
				}
			}
		}
		return renamed
	}
	return Rights{Everywhere: rename(r.Everywhere), Own: rename(r.Own)}
}

// WebhookRights are what the chart gives the webhook, if certificates are made by itself.
func WebhookRights(t testing.TB) Rights {
	t.Helper()
	return WebhookRightsIn(t, certs.SelfSignedMode)
}

// WebhookRightsIn are what the chart gives the webhook in a mode of certificates.
func WebhookRightsIn(t testing.TB, mode certs.Mode) Rights {
	t.Helper()
	render := webhookRights
	if mode == certs.CertManagerMode {
		render = certManagerRights
	}
	rights, err := render()
	require.NoError(t, err)
	return rights
}

// Helm takes a second, so each is rendered once.
var (
	webhookRights     = sync.OnceValues(func() (Rights, error) { return renderWebhookRights(certs.SelfSignedMode) })
	certManagerRights = sync.OnceValues(func() (Rights, error) { return renderWebhookRights(certs.CertManagerMode) })
)

func renderWebhookRights(mode certs.Mode) (Rights, error) {
	return RenderRights(context.Background(), "templates/webhook/rbac.yaml", map[string]any{"certificates": map[string]any{"mode": mode}})
}

// RenderRights gives the rules of the ClusterRole and of the Role in one of the chart's templates.
func RenderRights(ctx context.Context, template string, values map[string]any) (Rights, error) {
	text, err := json.Marshal(values)
	if err != nil {
		return Rights{}, fmt.Errorf("encode the chart's values: %w", err)
	}
	rendered, err := helm(ctx, string(text), "template", "slipway", chartFolder, "--namespace", OwnNamespace, "--values", "-", "--show-only", template)
	if err != nil {
		return Rights{}, err
	}
	var rights Rights
	for documents := policy.Documents([]byte(rendered)); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var role rbacv1.Role
		if err := errors.Join(err, yaml.Unmarshal(document, &role)); err != nil {
			return Rights{}, fmt.Errorf("read what helm renders of %s: %w", template, err)
		}
		switch role.Kind {
		case "ClusterRole":
			rights.Everywhere = append(rights.Everywhere, role.Rules...)
		case "Role":
			rights.Own = append(rights.Own, role.Rules...)
		}
	}
	if len(rights.Each()) == 0 {
		return Rights{}, fmt.Errorf("%s gives no rights", template)
	}
	return rights, nil
}
