package launcher

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

// ensureNamespace gives the labels of the namespace where a server belongs. A user's own is made where it is missing, with the name, labels
// and annotations that policy dictates and no others, if this launcher makes any. One that is there has to have those labels: policies
// are selected by them, so a namespace that only has the right name could be one where others apply.
func (l *Launcher) ensureNamespace(ctx context.Context, want policy.UserNamespace) (map[string]string, error) {
	there, err := l.client.CoreV1().Namespaces().Get(ctx, want.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && want.Create && l.config.UserNamespaces {
		if there, err = l.createNamespace(ctx, want); apierrors.IsAlreadyExists(err) {
			// Another replica was faster, or another server of the same user.
			there, err = l.client.CoreV1().Namespaces().Get(ctx, want.Name, metav1.GetOptions{})
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, missingNamespace(want, err)
	case err != nil:
		return nil, fmt.Errorf("namespace %s: %w", want.Name, Explain(err))
	case there.Status.Phase == corev1.NamespaceTerminating:
		return nil, &Failure{Message: "namespace " + want.Name + " is being deleted; try again when it is gone"}
	}
	return there.Labels, conflict(want, there)
}

func (l *Launcher) createNamespace(ctx context.Context, want policy.UserNamespace) (*corev1.Namespace, error) {
	return l.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: want.Name, Labels: want.Labels, Annotations: want.Annotations,
	}}, metav1.CreateOptions{})
}

func missingNamespace(want policy.UserNamespace, err error) error {
	message := "namespace " + want.Name + ", where policy has this server, isn't there"
	if want.Create {
		message += ", and this launcher makes none; have it made, or let the launcher do it by --user-namespaces"
	} else {
		message += "; have it made, or policy changed"
	}
	return &Failure{Message: message, Hopeless: true, err: err}
}

// conflict says in what a namespace that is there isn't the one that policy dictates. Who made it may have left out the hub's label,
// as KubeSpawner does; that of another hub is another's namespace.
func conflict(want policy.UserNamespace, there *corev1.Namespace) error {
	for _, key := range slices.Sorted(maps.Keys(want.Labels)) {
		has, labelled := there.Labels[key]
		if has == want.Labels[key] || key == policy.LabelHub && !labelled {
			continue
		}
		said := "no label " + key
		if labelled {
			said = fmt.Sprintf("label %s=%q", key, has)
		}
		return &Failure{
			Message:  fmt.Sprintf("namespace %s has %s, where policy says %q: it may be somebody else's; have an administrator change the one or the other", want.Name, said, want.Labels[key]),
			Hopeless: true,
		}
	}
	return nil
}
