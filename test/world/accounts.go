package world

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Account makes a service account with rights in the whole cluster, and gives a configuration with its token.
func (w *World) Account(ctx context.Context, namespace, name string, rights []rbacv1.PolicyRule) (*rest.Config, error) {
	if err := w.Cluster.EnsureServiceAccount(ctx, namespace, name); err != nil {
		return nil, err
	}
	if err := w.Grant(ctx, "test-"+namespace+"-"+name, namespace, name, rights); err != nil {
		return nil, fmt.Errorf("give account %s/%s its rights: %w", namespace, name, err)
	}
	return w.Token(ctx, namespace, name)
}

// Token gives a configuration with a token of a service account.
func (w *World) Token(ctx context.Context, namespace, name string) (*rest.Config, error) {
	token, err := w.Admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make a token of account %s/%s: %w", namespace, name, err)
	}
	config := rest.AnonymousClientConfig(w.Cluster.Config())
	config.BearerToken = token.Status.Token
	config.QPS = -1
	return config, nil
}

// Grant gives a service account rights in the whole cluster, by a role and a binding of one name, beside those that it has.
func (w *World) Grant(ctx context.Context, role, namespace, account string, rights []rbacv1.PolicyRule) error {
	named := metav1.ObjectMeta{Name: role}
	_, roleErr := w.Admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: named, Rules: rights}, metav1.CreateOptions{})
	_, bindErr := w.Admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: named,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
	}, metav1.CreateOptions{})
	if err := errors.Join(roleErr, bindErr); err != nil {
		return err
	}
	return w.awaitRights(ctx, namespace, account, rights)
}

// awaitRights waits until the API server, which reads roles from its cache, grants an account all of these.
func (w *World) awaitRights(ctx context.Context, namespace, account string, rights []rbacv1.PolicyRule) error {
	for _, r := range rights {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				main, sub, _ := strings.Cut(resource, "/")
				review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
					User: "system:serviceaccount:" + namespace + ":" + account,
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Verb: verb, Group: r.APIGroups[0], Resource: main, Subresource: sub,
					},
				}}
				if err := Eventually(ctx, func() error { return w.granted(ctx, review) }); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *World) granted(ctx context.Context, review *authorizationv1.SubjectAccessReview) error {
	got, err := w.Admin.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if !got.Status.Allowed {
		return fmt.Errorf("%s isn't granted %+v yet", review.Spec.User, *review.Spec.ResourceAttributes)
	}
	return nil
}

// WebhookRights are all that the webhook may do in the whole cluster, each with its reason.
var WebhookRights = []rbacv1.PolicyRule{
	// What pods are fitted by.
	{APIGroups: []string{""}, Resources: []string{"namespaces", "persistentvolumeclaims"}, Verbs: []string{"list", "watch"}},
	{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"spawnpolicies", "clusterspawnpolicies"}, Verbs: []string{"list", "watch"}},
	// The policies' status: conditions, and how many pods each fitted.
	{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"spawnpolicies/status", "clusterspawnpolicies/status"}, Verbs: []string{"update"}},
	// Denials.
	{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create"}},
}

// OwnRights are those that the webhook has in its own namespace alone: its replicas elect a leader (get, create, update),
// each reports (create, patch, delete), and the leader follows the reports (list, watch) and clears away old ones (delete).
var OwnRights = []rbacv1.PolicyRule{
	{APIGroups: []string{coordinationv1.GroupName}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
}

// WebhookAccount makes a service account of a namespace that webhooks run by.
func (w *World) WebhookAccount(ctx context.Context, namespace, name string, rights, own []rbacv1.PolicyRule) (*rest.Config, error) {
	config, err := w.Account(ctx, namespace, name, rights)
	if err != nil {
		return nil, err
	}
	named := metav1.ObjectMeta{Name: "test-" + name}
	_, roleErr := w.Admin.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: named, Rules: own}, metav1.CreateOptions{})
	_, bindErr := w.Admin.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: named,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: named.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	}, metav1.CreateOptions{})
	return config, errors.Join(roleErr, bindErr)
}
