package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/slipway-hub/slipway/webhook"
)

const (
	// defaultNamespace is where the chart is installed by convention.
	defaultNamespace = "slipway-system"
	// webhookName is that of the webhook's Deployment, Service and service account.
	webhookName = "slipway-webhook"
	// requestTimeout bounds one request: a webhook that hangs takes ten seconds by itself.
	requestTimeout = 20 * time.Second
)

// installation is what the checks look at. What several of them need is read once.
type installation struct {
	client   kubernetes.Interface
	dynamic  dynamic.Interface
	metadata metadata.Interface
	server   *version.Info

	// namespace of the release, and the release's name.
	namespace, release string
	version            string
	now                time.Time

	// unseen is what the present check couldn't look at.
	unseen []Finding
	read   struct {
		configurations memo[*configurations]
		policies       memo[[]policyObject]
		namespaces     memo[[]namespaceObject]
		pods           memo[[]hubPod]
		guarded        memo[bool]
	}
}

// memo is what was read, or why that failed.
type memo[T any] struct {
	done  bool
	value T
	err   error
}

func (m *memo[T]) get(read func() (T, error)) (T, error) {
	if !m.done {
		m.value, m.err = read()
		m.done = true
	}
	return m.value, m.err
}

func newInstallation(ctx context.Context, o Options) (*installation, error) {
	config := rest.CopyConfig(o.Config)
	config.QPS = -1 // one person, one look: the API server's own limits are enough
	config.Timeout = requestTimeout
	config.WarningHandlerWithContext = rest.NoWarnings{} // they are about the dry runs
	in := &installation{namespace: o.Namespace, version: strings.TrimPrefix(o.Version, "v"), now: o.Now}
	if in.now.IsZero() {
		in.now = time.Now()
	}
	var err error
	if in.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	if in.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	if in.metadata, err = metadata.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	if in.server, err = in.client.Discovery().ServerVersion(); err != nil {
		return nil, fmt.Errorf("ask the API server for its version: %w", err)
	}
	in.find(ctx)
	return in, nil
}

// find finds out by the webhook configurations where the release is. What they can't say is left to the convention.
func (in *installation) find(ctx context.Context) {
	in.release = "slipway"
	found := ""
	if c, err := in.configurations(ctx); err == nil {
		for _, each := range []*configuration{c.fitting, c.verifying, c.policy} {
			if each == nil {
				continue
			}
			in.release = cmp.Or(each.labels["app.kubernetes.io/instance"], in.release)
			for i := range each.webhooks {
				if service := each.webhooks[i].ClientConfig.Service; service != nil {
					found = cmp.Or(found, service.Namespace)
				}
			}
		}
	}
	in.namespace = cmp.Or(in.namespace, found, defaultNamespace)
}

// looked takes the error of a read: whether the object is there, and whether that could be seen at all. What couldn't
// is a finding of the present check.
func (in *installation) looked(right string, err error) (there, seen bool) {
	switch {
	case err == nil:
		return true, true
	case apierrors.IsNotFound(err):
		return false, true
	case apierrors.IsForbidden(err):
		in.blind("you have no right to "+right, "have somebody who may do so look, or grant it: kubectl auth can-i "+canI(right)+" must say yes")
	default:
		in.blind("can't "+right+": "+err.Error(), "look again; if it stays, look at the API server's log")
	}
	return false, false
}

// blind notes once what can't be seen.
func (in *installation) blind(message, mend string) {
	f := Finding{Severity: Unseen, Message: message, Mend: mend}
	if !slices.Contains(in.unseen, f) {
		in.unseen = append(in.unseen, f)
	}
}

// canI makes arguments of kubectl of "VERB RESOURCE in namespace NS" and "VERB RESOURCE".
func canI(right string) string {
	what, namespace, namespaced := strings.Cut(right, " in namespace ")
	if !namespaced {
		return what + " --all-namespaces"
	}
	return what + " --namespace " + namespace
}

// installAgain is the mend for an object that the chart makes.
func (in *installation) installAgain() string {
	return fmt.Sprintf("install the chart again: helm upgrade --install %s CHART --namespace %s --reset-then-reuse-values", in.release, in.namespace)
}

func wrong(object, field, message, mend string) Finding {
	return Finding{Severity: Wrong, Object: object, Field: field, Message: message, Mend: mend}
}

func warning(object, field, message, mend string) Finding {
	return Finding{Severity: Warning, Object: object, Field: field, Message: message, Mend: mend}
}

func note(object, field, message, mend string) Finding {
	return Finding{Severity: Note, Object: object, Field: field, Message: message, Mend: mend}
}

// serviceOfWebhook is the Service that the API server calls; nil where it calls a URL, or where there is no configuration.
func (in *installation) serviceOfWebhook(ctx context.Context) *serviceReference {
	c, err := in.configurations(ctx)
	if err != nil {
		return nil
	}
	for _, each := range []*configuration{c.fitting, c.verifying, c.policy} {
		if each == nil {
			continue
		}
		for i := range each.webhooks {
			if s := each.webhooks[i].ClientConfig.Service; s != nil {
				return &serviceReference{namespace: s.Namespace, name: s.Name, port: portOf(s)}
			}
		}
	}
	return nil
}

// byURL says whether the API server calls the webhook somewhere outside the cluster, as when it is developed.
func (in *installation) byURL(ctx context.Context) bool {
	c, err := in.configurations(ctx)
	return err == nil && c.fitting != nil && len(c.fitting.webhooks) > 0 && c.fitting.webhooks[0].ClientConfig.URL != nil
}

// names of configurations, for messages.
var (
	fittingObject   = "MutatingWebhookConfiguration " + webhook.ConfigurationName
	verifyingObject = "ValidatingWebhookConfiguration " + webhook.VerifyConfigurationName
	policyObjectOf  = "ValidatingWebhookConfiguration " + webhook.PolicyConfigurationName
)
