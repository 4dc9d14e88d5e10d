//go:build e2e && full

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCertManager lets real cert-manager make the certificates: it is switched to and back from, and renews, while servers are
// created.
func TestCertManager(t *testing.T) {
	s := onStage(t)
	s.StartCertManager(t)
	before := s.inventoryNow(t)
	for _, chapter := range []struct {
		name string
		tell func(*stage, *testing.T)
	}{
		{"helm installs it, with certificates of its own", (*stage).install},
		{"policies are applied and become ready", (*stage).applyPolicies},
		{"a switch to cert-manager costs no server", (*stage).switchToCertManager},
		{"slipway check finds nothing wrong", (*stage).checkIsClean},
		{"cert-manager renews, and that costs no server", (*stage).renew},
		{"a switch back costs no server", (*stage).switchBack},
		{"slipway check finds nothing wrong after it", (*stage).checkIsClean},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.tell(s, t) }) {
			s.tellAbout(t)
			break
		}
	}
	t.Run("uninstalled, nothing is left", func(t *testing.T) { s.uninstall(t, before) })
}

func (s *stage) switchToCertManager(t *testing.T) {
	t.Helper()
	l := startLoad(t, s.hub(t), loadNamespace, hubName)
	s.helm(t, append([]string{"upgrade", release, chart}, values("--set", "certificates.mode=certManager")...)...)
	s.kubectl(t, "", "wait", "--for=condition=Ready", "--timeout=60s", "certificate/"+webhookName, "--namespace", ownNamespace)
	s.awaitServed(t, "slipway-webhook-cert-manager")
	l.requireNoFailure(t, "switch to cert-manager")
}

func (s *stage) switchBack(t *testing.T) {
	t.Helper()
	l := startLoad(t, s.hub(t), loadNamespace, hubName)
	s.helm(t, append([]string{"upgrade", release, chart}, values("--set", "certificates.mode=selfSigned")...)...)
	s.awaitServed(t, "slipway-webhook-self-signed")
	l.requireNoFailure(t, "switch back")
	// As cert-manager leaves them with every Certificate that is deleted.
	s.kubectl(t, "", "delete", "secret", "slipway-webhook-cert-manager", "slipway-cert-manager-ca", "--namespace", ownNamespace, "--ignore-not-found")
}

// renew has cert-manager make a new authority and then a new certificate, as its cmctl renew does.
func (s *stage) renew(t *testing.T) {
	t.Helper()
	l := startLoad(t, s.hub(t), loadNamespace, hubName)
	old := s.authorities(t)
	for _, certificate := range []string{s.authorityCertificate(t), webhookName} {
		was := s.revision(t, certificate)
		s.kubectl(t, "", "patch", "certificate", certificate, "--namespace", ownNamespace, "--subresource=status", "--type=merge", "-p",
			fmt.Sprintf(`{"status":{"conditions":[{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"renew","lastTransitionTime":%q}]}}`,
				time.Now().UTC().Format(time.RFC3339)))
		eventually(t, certificate+" is issued anew", func(context.Context) error {
			if now := s.revision(t, certificate); now == was {
				return errors.New("still revision " + now)
			}
			return nil
		})
	}
	eventually(t, "the new authority is trusted", func(context.Context) error {
		if s.authorities(t) == old {
			return errors.New("it isn't")
		}
		return nil
	})
	s.awaitServed(t, "slipway-webhook-cert-manager")
	l.requireNoFailure(t, "renewal by cert-manager")
}

// authorityCertificate names the Certificate of the chart's own authority.
func (s *stage) authorityCertificate(t *testing.T) string {
	t.Helper()
	for name := range strings.FieldsSeq(s.kubectl(t, "", "get", "certificates", "--namespace", ownNamespace, "-o", "name")) {
		if _, name, _ := strings.Cut(name, "/"); name != webhookName {
			return name
		}
	}
	require.Fail(t, "the chart makes no authority of its own")
	return ""
}

func (s *stage) revision(t *testing.T, certificate string) string {
	t.Helper()
	return s.kubectl(t, "", "get", "certificate", certificate, "--namespace", ownNamespace, "-o", "jsonpath={.status.revision}")
}
