package check

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// right is something that an account may do.
type right struct {
	verb, group, resource string
	// name of the only object; empty: any.
	name string
	// why it is needed, or what it is dangerous for.
	why string
}

func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.group != "" {
		main, sub, isSub := strings.Cut(r.resource, "/")
		text = r.verb + " " + main + "." + r.group
		if isSub {
			text += "/" + sub
		}
	}
	if r.name != "" {
		text += " " + r.name
	}
	return text
}

// may asks whether an account has a right in a namespace; in an empty one: in all. seen is false where the caller may not ask.
func (in *installation) may(ctx context.Context, account, namespace string, r right) (allowed, seen bool) {
	main, sub, _ := strings.Cut(r.resource, "/")
	inside, _ := accountOf(account)
	review, err := in.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: account,
			// Those that a token of the account gives.
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + inside, "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: r.verb, Group: r.group, Resource: main, Subresource: sub, Name: r.name,
			},
		},
	}, metav1.CreateOptions{})
	if _, seen := in.looked("create subjectaccessreviews.authorization.k8s.io", err); !seen {
		return false, false
	}
	return review.Status.Allowed, true
}

// grant is the mend for rights on one resource that are missing.
func grant(account, namespace, resource string, verbs []string) string {
	ns, name := accountOf(account)
	role := name + "-" + resource
	return fmt.Sprintf("kubectl create role %s --verb=%s --resource=%s --namespace %s; kubectl create rolebinding %s --role=%s --serviceaccount=%s:%s --namespace %s",
		role, strings.Join(verbs, ","), resource, namespace, role, role, ns, name, namespace)
}
