package check

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/certs"
)

// The Secrets of the release that have certificates.
const (
	selfSignedSecret  = "slipway-webhook-self-signed"
	certManagerSecret = "slipway-webhook-cert-manager"
	authoritySecret   = "slipway-webhook-ca"
	// injectAnnotation on a configuration has cert-manager fill in caBundle.
	injectAnnotation = "cert-manager.io/inject-ca-from-secret"
)

// expiresSoon is when a certificate that nobody renewed is a matter to look at. A short-lived one has the last quarter of its life.
const expiresSoon = 14 * 24 * time.Hour

// certificateMode is how the release gets its certificates.
type certificateMode struct {
	// secret has the serving certificate.
	secret string
	// renew is the mend for a certificate, publish that for a caBundle.
	renew, publish string
}

func (in *installation) certificateMode(all *configurations) certificateMode {
	for _, c := range []*configuration{all.fitting, all.verifying, all.policy} {
		if c != nil && c.annotations[injectAnnotation] != "" {
			return certificateMode{
				secret: certManagerSecret,
				renew: fmt.Sprintf("cmctl renew %s --namespace %s; kubectl describe certificate %s --namespace %s says why it isn't renewed by itself",
					webhookName, in.namespace, webhookName, in.namespace),
				publish: fmt.Sprintf("cert-manager's cainjector copies it from Secret %s: kubectl logs --namespace cert-manager deployment/cert-manager-cainjector", authoritySecret),
			}
		}
	}
	restart := fmt.Sprintf("kubectl rollout restart deployment/%s --namespace %s", webhookName, in.namespace)
	logs := fmt.Sprintf("kubectl logs deployment/%s --namespace %s", webhookName, in.namespace)
	return certificateMode{
		secret: selfSignedSecret,
		renew:  "the replicas renew it: " + restart + "; " + logs + " says why they didn't by themselves",
		publish: "the replicas write it: " + restart + "; " + logs +
			" says why they didn't by themselves (kubectl auth can-i patch mutatingwebhookconfigurations as their account)",
	}
}

func lookAtCertificates(ctx context.Context, in *installation) []Finding {
	all, seen := in.seeConfigurations(ctx)
	if !seen {
		return nil
	}
	mode := in.certificateMode(all)
	var found []Finding
	bundles := map[*configuration][]*x509.Certificate{}
	ours := []*configuration{all.fitting, all.verifying, all.policy}
	for _, c := range ours {
		if c == nil || len(c.webhooks) == 0 {
			continue
		}
		var more []Finding
		bundles[c], more = lookAtBundle(c, c.webhooks[0].ClientConfig.CABundle, mode, in.now)
		found = append(found, more...)
	}
	service := in.serviceOfWebhook(ctx)
	if service == nil {
		return found // outside the cluster; whether it is trusted is seen when it answers
	}
	chain, more := in.servingChain(ctx, mode)
	found = append(found, more...)
	if len(chain) > 0 {
		found = append(found, lookAtLeaf(chain[0], service, mode, in)...)
	}
	published, more := in.publishedCAs(ctx)
	found = append(found, more...)
	for _, c := range ours {
		if len(bundles[c]) > 0 {
			found = append(found, lookAtTrust(c, bundles[c], chain, published, mode)...)
		}
	}
	return found
}

// lookAtBundle reads what the API server trusts when it calls a configuration's webhook.
func lookAtBundle(c *configuration, bundle []byte, mode certificateMode, now time.Time) ([]*x509.Certificate, []Finding) {
	const field = "webhooks[0].clientConfig.caBundle"
	if len(bundle) == 0 {
		return nil, []Finding{wrong(c.object(), field, "is empty, so the API server doesn't trust the webhook", mode.publish)}
	}
	certificates, err := readCertificates(bundle)
	if err != nil {
		return nil, []Finding{wrong(c.object(), field, err.Error()+", so the API server doesn't trust the webhook", mode.publish)}
	}
	var valid []*x509.Certificate
	var last time.Time
	for _, ca := range certificates {
		if now.Before(ca.NotAfter) {
			valid = append(valid, ca)
		}
		if ca.NotAfter.After(last) {
			last = ca.NotAfter
		}
	}
	if len(valid) == 0 {
		return certificates, []Finding{wrong(c.object(), field, "has only authorities that have expired, the last on "+day(last), mode.renew)}
	}
	if soon(certificates, last, now) {
		return certificates, []Finding{warning(c.object(), field, "has no authority that is valid after "+day(last), mode.renew)}
	}
	return certificates, nil
}

// soon says whether the last of several certificates ends soon, measured by the longest life among them.
func soon(certificates []*x509.Certificate, last, now time.Time) bool {
	var life time.Duration
	for _, c := range certificates {
		life = max(life, c.NotAfter.Sub(c.NotBefore))
	}
	const quarter = 4
	return last.Sub(now) < min(expiresSoon, life/quarter)
}

// servingChain is the certificate that the replicas serve with, and those that came with it.
func (in *installation) servingChain(ctx context.Context, mode certificateMode) ([]*x509.Certificate, []Finding) {
	secret, found := in.secret(ctx, mode.secret)
	if secret == nil {
		return nil, found
	}
	object := in.secretObject(mode.secret)
	data := secret.Data[certs.CertFile]
	if len(data) == 0 {
		return nil, []Finding{wrong(object, "data["+certs.CertFile+"]", "is empty: the replicas have no certificate to serve with", mode.renew)}
	}
	chain, err := readCertificates(data)
	if err != nil {
		return nil, []Finding{wrong(object, "data["+certs.CertFile+"]", err.Error(), mode.renew)}
	}
	return chain, nil
}

// publishedCAs are the authorities that every caBundle should have.
func (in *installation) publishedCAs(ctx context.Context) ([]*x509.Certificate, []Finding) {
	secret, found := in.secret(ctx, authoritySecret)
	if secret == nil || len(secret.Data[certs.CAFile]) == 0 {
		return nil, found
	}
	certificates, err := readCertificates(secret.Data[certs.CAFile])
	if err != nil {
		return nil, []Finding{wrong(in.secretObject(authoritySecret), "data["+certs.CAFile+"]", err.Error(),
			fmt.Sprintf("kubectl rollout restart deployment/%s --namespace %s", webhookName, in.namespace))}
	}
	return certificates, nil
}

func (in *installation) secretObject(name string) string {
	return "Secret " + in.namespace + "/" + name
}

// secret reads a Secret; nil where it can't be seen or isn't there, and then says so.
func (in *installation) secret(ctx context.Context, name string) (*corev1.Secret, []Finding) {
	secret, err := in.client.CoreV1().Secrets(in.namespace).Get(ctx, name, metav1.GetOptions{})
	switch there, seen := in.looked("get secrets in namespace "+in.namespace, err); {
	case !seen:
		return nil, nil
	case !there:
		return nil, []Finding{wrong(in.secretObject(name), "", "isn't there, so the replicas can't keep a certificate", in.installAgain())}
	}
	return secret, nil
}

func lookAtLeaf(leaf *x509.Certificate, service *serviceReference, mode certificateMode, in *installation) []Finding {
	object, field := in.secretObject(mode.secret), "data["+certs.CertFile+"]"
	var found []Finding
	switch {
	case !in.now.Before(leaf.NotAfter):
		found = append(found, wrong(object, field, "expired on "+day(leaf.NotAfter)+", so the API server doesn't trust the webhook", mode.renew))
	case in.now.Before(leaf.NotBefore):
		found = append(found, wrong(object, field, "is valid only from "+leaf.NotBefore.UTC().Format(time.RFC3339)+" on", "set the clocks right, or "+mode.renew))
	case soon([]*x509.Certificate{leaf}, leaf.NotAfter, in.now):
		found = append(found, warning(object, field, "expires on "+day(leaf.NotAfter)+" and should have been renewed by now", mode.renew))
	}
	if name := service.name + "." + service.namespace + ".svc"; leaf.VerifyHostname(name) != nil {
		found = append(found, wrong(object, field, fmt.Sprintf("is for %s, not for %s, by which the API server calls the webhook", namesOf(leaf), name), mode.renew))
	}
	return found
}

// lookAtTrust says whether a configuration's authorities have signed the certificate that is served, and whether they are those
// that the release has published.
func lookAtTrust(c *configuration, bundle, chain, published []*x509.Certificate, mode certificateMode) []Finding {
	const field = "webhooks[0].clientConfig.caBundle"
	if len(chain) > 0 && !signed(chain, bundle) {
		return []Finding{wrong(c.object(), field, fmt.Sprintf("has no authority that signed the certificate of Secret %s (%s did)", mode.secret, issuer(chain)), mode.publish)}
	}
	for _, p := range published {
		if !has(bundle, p) {
			return []Finding{warning(c.object(), field, fmt.Sprintf("lacks an authority of Secret %s (%s), and will not trust what it signs", authoritySecret, p.Subject), mode.publish)}
		}
	}
	return nil
}

// signed says whether one of the authorities signed a chain, whenever both were valid: that one of them isn't any more is said elsewhere.
func signed(chain, authorities []*x509.Certificate) bool {
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	return slices.ContainsFunc(authorities, func(a *x509.Certificate) bool {
		o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: intermediates, CurrentTime: chain[0].NotAfter.Add(-time.Second)}
		o.Roots.AddCert(a)
		if a.NotAfter.Before(o.CurrentTime) {
			o.CurrentTime = a.NotAfter.Add(-time.Second)
		}
		_, err := chain[0].Verify(o)
		return err == nil
	})
}

func has(certificates []*x509.Certificate, one *x509.Certificate) bool {
	return slices.ContainsFunc(certificates, one.Equal)
}

func readCertificates(data []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("has a certificate that can't be read: %w", err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("has no certificate in PEM")
	}
	return all, nil
}

func namesOf(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return cmp.Or(some(names), "no name")
}

func issuer(chain []*x509.Certificate) string { return chain[len(chain)-1].Issuer.String() }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
