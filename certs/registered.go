package certs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
)

// registered is a webhook configuration as far as certificates go.
type registered struct {
	name, version string
	mutating      bool
	// changed is when it was written last, by the API server's clock; zero where that doesn't say.
	changed time.Time
	// trusts is what the API server trusts when it calls each webhook, by the webhook's name.
	trusts map[string]authorities
}

// readRegistered reads a MutatingWebhookConfiguration or a ValidatingWebhookConfiguration. What can't be read in a caBundle is
// trusted by nobody.
func readRegistered(object any) *registered {
	r := &registered{trusts: map[string]authorities{}}
	take := func(name string, client *admissionregistrationv1.WebhookClientConfig) {
		r.trusts[name], _ = readAuthorities(client.CABundle)
	}
	switch c := object.(type) {
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		r.name, r.version, r.mutating, r.changed = c.Name, c.ResourceVersion, true, lastChange(c.ManagedFields)
		for i := range c.Webhooks {
			take(c.Webhooks[i].Name, &c.Webhooks[i].ClientConfig)
		}
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		r.name, r.version, r.changed = c.Name, c.ResourceVersion, lastChange(c.ManagedFields)
		for i := range c.Webhooks {
			take(c.Webhooks[i].Name, &c.Webhooks[i].ClientConfig)
		}
	}
	return r
}

// lastChange is when an object was written last, rounded up to what its times are given in.
func lastChange(entries []metav1.ManagedFieldsEntry) time.Time {
	var last time.Time
	for _, e := range entries {
		if e.Time != nil && e.Time.Add(time.Second).After(last) {
			last = e.Time.Add(time.Second)
		}
	}
	return last
}

// all are those that any of its webhooks trusts.
func (r *registered) all() authorities {
	var sum authorities
	for _, trusted := range r.trusts {
		sum = sum.with(trusted...)
	}
	return sum
}

// changes gives the caBundle of each webhook whose caBundle has to change, so that it has the wanted and not the dropped.
// nil is nothing to do. Others' authorities stay: what one replica hasn't read yet another may serve with.
func (r *registered) changes(wanted authorities, dropped names) map[string][]byte {
	var changes map[string][]byte
	for name, trusted := range r.trusts {
		next := trusted.without(dropped.has).with(wanted...)
		if len(next) == len(trusted) && len(next.missing(trusted)) == 0 {
			continue
		}
		if changes == nil {
			changes = map[string][]byte{}
		}
		changes[name] = next.pem()
	}
	return changes
}

// caBundlePatch is a strategic merge patch: it finds the webhooks by their names, and fails if the configuration isn't the
// one that was read.
func (r *registered) caBundlePatch(changes map[string][]byte) ([]byte, error) {
	type clientConfig struct {
		CABundle []byte `json:"caBundle"`
	}
	type hook struct {
		Name         string       `json:"name"`
		ClientConfig clientConfig `json:"clientConfig"`
	}
	patch := struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Webhooks []hook `json:"webhooks"`
	}{}
	patch.Metadata.ResourceVersion = r.version
	for _, name := range slices.Sorted(maps.Keys(changes)) { // the API server takes the webhooks' order from a patch
		patch.Webhooks = append(patch.Webhooks, hook{Name: name, ClientConfig: clientConfig{CABundle: changes[name]}})
	}
	return json.Marshal(patch)
}

// registrar writes configurations.
type registrar struct {
	client       admissionregistrationclient.AdmissionregistrationV1Interface
	fieldManager string
}

// patch gives the configuration as it is now.
func (w *registrar) patch(ctx context.Context, r *registered, changes map[string][]byte) (*registered, error) {
	data, err := r.caBundlePatch(changes)
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	options := metav1.PatchOptions{FieldManager: w.fieldManager}
	var patched runtime.Object
	if r.mutating {
		patched, err = w.client.MutatingWebhookConfigurations().Patch(ctx, r.name, types.StrategicMergePatchType, data, options)
	} else {
		patched, err = w.client.ValidatingWebhookConfigurations().Patch(ctx, r.name, types.StrategicMergePatchType, data, options)
	}
	if err != nil {
		return nil, fmt.Errorf("write the caBundle of webhook configuration %s: %w", r.name, err)
	}
	return readRegistered(patched), nil
}

// accept is nil if every webhook of these configurations accepts the certificate; else it names one that doesn't.
func accept(configurations []*registered, p *pair, now time.Time) error {
	for _, c := range configurations {
		for _, name := range slices.Sorted(maps.Keys(c.trusts)) {
			if !p.trustedBy(c.trusts[name], now) {
				return fmt.Errorf("the caBundle of %s in webhook configuration %s lacks the authority of the serving certificate, %s", name, c.name, p.authority())
			}
		}
	}
	return nil
}
