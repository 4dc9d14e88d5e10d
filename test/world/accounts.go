package world

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
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
	return w.awaitRights(ctx, userName(namespace, account), "", rights)
}

// awaitRights waits until the API server, which reads roles from its cache, grants an account all of these, in a namespace or, where
// that is empty, in the whole cluster.
func (w *World) awaitRights(ctx context.Context, user, in string, rights []rbacv1.PolicyRule) error {
	for _, r := range each(rights, false) {
		main, sub, _ := strings.Cut(r.Resource, "/")
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: in, Verb: r.Verb, Group: r.Group, Resource: main, Subresource: sub, Name: r.Name,
			},
		}}
		if err := Eventually(ctx, func() error { return w.granted(ctx, review) }); err != nil {
			return err
		}
	}
	return nil
}

// userName is what the API server calls a service account.
func userName(namespace, account string) string {
	return "system:serviceaccount:" + namespace + ":" + account
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

// WebhookAccount makes a service account of a namespace that webhooks run by.
func (w *World) WebhookAccount(ctx context.Context, namespace, name string, rights Rights) (*rest.Config, error) {
	config, err := w.Account(ctx, namespace, name, rights.Everywhere)
	if err != nil {
		return nil, err
	}
	return config, w.GrantIn(ctx, namespace, "test-"+name, namespace, name, rights.Own)
}

// GrantIn gives a service account rights in one namespace, by a role and a binding of one name there.
func (w *World) GrantIn(ctx context.Context, in, role, namespace, account string, rights []rbacv1.PolicyRule) error {
	named := metav1.ObjectMeta{Name: role}
	_, roleErr := w.Admin.RbacV1().Roles(in).Create(ctx, &rbacv1.Role{ObjectMeta: named, Rules: rights}, metav1.CreateOptions{})
	_, bindErr := w.Admin.RbacV1().RoleBindings(in).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: named,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
	}, metav1.CreateOptions{})
	if err := errors.Join(roleErr, bindErr); err != nil {
		return err
	}
	return w.awaitRights(ctx, userName(namespace, account), in, rights)
}
