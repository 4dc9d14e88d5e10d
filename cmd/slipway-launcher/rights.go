package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// every is how long it takes at most until a right that was granted is noticed.
const every = 2 * time.Second

// rights finds out whether this account may do what servers are started with.
type rights struct {
	reader     client.Reader
	writer     client.Writer
	namespaces []string // "" stands for all
	// tokens: hubs come in by token, about which the API server is asked.
	tokens bool
	log    logr.Logger

	// missing is nil before the first answer.
	missing atomic.Pointer[error]
}

func newRights(reader client.Reader, writer client.Writer, o *options, log logr.Logger) *rights {
	namespaces := o.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	return &rights{reader: reader, writer: writer, namespaces: namespaces, tokens: o.bindAddress != "", log: log}
}

// right is one verb on one resource.
type right struct{ verb, group, resource string }

func (r right) String() string { return r.verb + " " + r.resource }

var (
	inEachNamespace = []right{
		{"create", "", "pods"}, {"get", "", "pods"}, {"list", "", "pods"}, {"watch", "", "pods"}, {"delete", "", "pods"},
		{"create", "", "secrets"},
		{"watch", v1alpha1.GroupVersion.Group, "spawnpolicies"},
	}
	inTheCluster = []right{{"watch", v1alpha1.GroupVersion.Group, "clusterspawnpolicies"}}
	forTokens    = []right{{"create", authenticationv1.GroupName, "tokenreviews"}}
)

// Start asks until nothing is missing.
func (r *rights) Start(ctx context.Context) error {
	// Its error is that ctx has ended, which is how a manager's part ends.
	_ = wait.PollUntilContextCancel(ctx, every, true, func(ctx context.Context) (bool, error) {
		return r.note(ctx, r.ask(ctx)), nil
	})
	return nil
}

// note says whether nothing is missing. What is missing is logged, once: an answer of /readyz withholds reasons.
func (r *rights) note(ctx context.Context, missing error) bool {
	before := r.missing.Swap(&missing)
	if missing == nil {
		r.log.Info("ready")
		return true
	}
	if ctx.Err() == nil && (before == nil || (*before).Error() != missing.Error()) {
		r.log.Info("not ready", "reason", missing.Error())
	}
	return false
}

// Ready is for the manager's readiness.
func (r *rights) Ready(*http.Request) error {
	missing := r.missing.Load()
	if missing == nil {
		return errors.New("the API server hasn't answered yet")
	}
	return *missing
}

// ask gives all that is missing at once.
func (r *rights) ask(ctx context.Context) error {
	// To list them finds out, too, whether the cluster has such objects.
	missing := []error{r.list(ctx, "ClusterSpawnPolicy", metav1.NamespaceAll), r.all(ctx, inTheCluster, metav1.NamespaceAll)}
	if r.tokens {
		missing = append(missing, r.all(ctx, forTokens, metav1.NamespaceAll))
	}
	for _, namespace := range r.namespaces {
		missing = append(missing, r.list(ctx, "SpawnPolicy", namespace), r.all(ctx, inEachNamespace, namespace))
	}
	return errors.Join(missing...)
}

func (r *rights) list(ctx context.Context, kind, namespace string) error {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
	if err := r.reader.List(ctx, &list, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("list %s objects in %s: %w", kind, named(namespace), err)
	}
	return nil
}

// all names those of the rights that this account doesn't have.
func (r *rights) all(ctx context.Context, needed []right, namespace string) error {
	var missing []string
	for _, n := range needed {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: n.verb, Group: n.group, Resource: n.resource},
		}}
		if err := r.writer.Create(ctx, review); err != nil {
			return fmt.Errorf("ask whether this account may %s in %s: %w", n, named(namespace), err)
		}
		if !review.Status.Allowed {
			missing = append(missing, n.String())
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("this account may not %s in %s; grant it that, or say with --namespace where it may", strings.Join(missing, ", "), named(namespace))
}

func named(namespace string) string {
	if namespace == metav1.NamespaceAll {
		return "every namespace"
	}
	return "namespace " + namespace
}
