package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
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
	// inEach and inTheCluster are needed in each of the namespaces, and in all of them.
	inEach, inTheCluster []right
	log                  logr.Logger

	// missing is nil before the first answer.
	missing atomic.Pointer[error]
}

func newRights(reader client.Reader, writer client.Writer, o *options, log logr.Logger) *rights {
	namespaces := o.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	r := &rights{
		reader: reader, writer: writer, namespaces: namespaces, log: log,
		inEach:       slices.Clone(toStart),
		inTheCluster: []right{{verb: "watch", group: v1alpha1.GroupVersion.Group, resource: "clusterspawnpolicies"}},
	}
	// That claims are deleted is no flag: who may not ask for it asks for none.
	if o.podLogs {
		r.inEach = append(r.inEach, right{verb: "get", resource: "pods", subresource: "log"})
	}
	if o.bindAddress != "" {
		r.inTheCluster = append(r.inTheCluster, right{verb: "create", group: authenticationv1.GroupName, resource: "tokenreviews"})
	}
	if o.userNamespaces {
		r.inTheCluster = append(r.inTheCluster, right{verb: "create", resource: "namespaces"})
	}
	return r
}

// right is one verb on one resource.
type right struct{ verb, group, resource, subresource string }

func (r right) String() string { return r.verb + " " + path.Join(r.resource, r.subresource) }

// toStart a server, to follow it and to stop it.
var toStart = []right{
	{verb: "create", resource: "pods"}, {verb: "get", resource: "pods"}, {verb: "list", resource: "pods"}, {verb: "watch", resource: "pods"},
	{verb: "delete", resource: "pods"},
	{verb: "create", resource: "secrets"},
	{verb: "watch", group: v1alpha1.GroupVersion.Group, resource: "spawnpolicies"},
}

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
	missing := []error{r.list(ctx, "ClusterSpawnPolicy", metav1.NamespaceAll), r.all(ctx, r.inTheCluster, metav1.NamespaceAll)}
	for _, namespace := range r.namespaces {
		missing = append(missing, r.list(ctx, "SpawnPolicy", namespace), r.all(ctx, r.inEach, namespace))
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
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: n.verb, Group: n.group, Resource: n.resource, Subresource: n.subresource},
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
	return fmt.Errorf("this account may not %s in %s; grant it that, or give other flags: --namespace says where, --pod-logs and --user-namespaces ask for more", strings.Join(missing, ", "), named(namespace))
}

func named(namespace string) string {
	if namespace == metav1.NamespaceAll {
		return "every namespace"
	}
	return "namespace " + namespace
}
