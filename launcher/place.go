package launcher

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-hub/slipway/policy"
)

// place gives the namespace where a server belongs, with its labels: by policy, else the one that was asked for, else the only one
// that this launcher serves. A user's own is made where it is missing, if mayMake is true and the launcher may.
func (l *Launcher) place(ctx context.Context, set *policySet, req *Request, mayMake bool) (policy.Namespace, error) {
	in := l.input(req, policy.Namespace{Name: req.Namespace})
	if req.Namespace != "" {
		return l.served(ctx, req.Namespace)
	}
	want, denials := set.namespace(in)
	switch {
	case len(denials) > 0:
		return policy.Namespace{}, deniedBy(denials)
	case want.Name != "":
		return l.placeOfOwn(ctx, set, &in, want, mayMake)
	case len(l.config.Namespaces) == 1:
		return l.served(ctx, l.config.Namespaces[0])
	}
	return policy.Namespace{}, &Failure{
		Message:  "no policy says in which namespace " + req.Key.String() + " belongs, and this launcher serves several: name one in the request",
		Hopeless: true,
	}
}

// placeOfOwn: where the namespace is there already with other labels than policy would give it, other policies may apply, which may
// have another word.
func (l *Launcher) placeOfOwn(ctx context.Context, set *policySet, in *policy.Input, want policy.UserNamespace, mayMake bool) (policy.Namespace, error) {
	if !mayMake {
		if labels, err := l.labels.of(ctx, l.client, want.Name); err == nil {
			return policy.Namespace{Name: want.Name, Labels: labels}, nil
		}
		return policy.Namespace{Name: want.Name, Labels: want.Labels}, nil
	}
	if err := l.serves(want.Name); err != nil {
		return policy.Namespace{}, err
	}
	labels, err := l.ensureNamespace(ctx, want)
	if err != nil {
		return policy.Namespace{}, err
	}
	at := policy.Namespace{Name: want.Name, Labels: labels}
	if !maps.Equal(labels, want.Labels) {
		in.Namespace = at
		again, denials := set.namespace(*in)
		if len(denials) > 0 {
			return policy.Namespace{}, deniedBy(denials)
		}
		if again.Name != at.Name {
			return policy.Namespace{}, &Failure{
				Message:  "policy has this server in namespace " + want.Name + ", but with the labels that it has, in " + again.Name + ": have its labels or policy changed",
				Hopeless: true,
			}
		}
	}
	return at, nil
}

// served is a namespace of this launcher with its labels.
func (l *Launcher) served(ctx context.Context, name string) (policy.Namespace, error) {
	if err := l.serves(name); err != nil {
		return policy.Namespace{}, err
	}
	labels, err := l.labels.of(ctx, l.client, name)
	return policy.Namespace{Name: name, Labels: labels}, err
}

func (l *Launcher) serves(namespace string) error {
	if len(l.config.Namespaces) == 0 || slices.Contains(l.config.Namespaces, namespace) {
		return nil
	}
	return &Failure{Message: "namespace " + namespace + " isn't one that this launcher serves: name it among its namespaces", Hopeless: true}
}

// input is what the engine is asked with.
func (l *Launcher) input(req *Request, at policy.Namespace) policy.Input {
	return policy.Input{
		Caller:    l.account(),
		Namespace: at,
		Identity: policy.Identity{
			Hub: req.Hub, User: req.User, Server: req.Name, UserID: req.UserID, Groups: req.Groups, Profile: req.Profile,
			Options: req.Options, UserAnnotations: req.UserAnnotations,
		},
	}
}

// labelsFor is how long the labels of a namespace are believed. Policies select by them; a launcher may not watch namespaces.
const labelsFor = time.Minute

// namespaceLabels are remembered for a while.
type namespaceLabels struct {
	mu    sync.Mutex
	known map[string]knownLabels
}

type knownLabels struct {
	labels map[string]string
	at     time.Time
}

func (n *namespaceLabels) of(ctx context.Context, client kubernetes.Interface, namespace string) (map[string]string, error) {
	n.mu.Lock()
	known, has := n.known[namespace]
	n.mu.Unlock()
	if has && time.Since(known.at) < labelsFor {
		return known.labels, nil
	}
	there, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	labels := map[string]string{corev1.LabelMetadataName: namespace} // the API server's own
	switch {
	case err == nil:
		labels = there.Labels
	case apierrors.IsNotFound(err):
		return nil, &Failure{Message: "namespace " + namespace + " doesn't exist: have it made, or name another", Hopeless: true, err: err}
	case !apierrors.IsForbidden(err): // whoever may not see them does without, as many policies do
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[string]knownLabels{}
	}
	maps.DeleteFunc(n.known, func(_ string, k knownLabels) bool { return time.Since(k.at) >= labelsFor })
	n.known[namespace] = knownLabels{labels, time.Now()}
	return labels, nil
}

// forgetAll has them read anew; they may have changed when a denial says so.
func (n *namespaceLabels) forgetAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.known)
}
