package certs

import (
	"crypto/x509"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	expiry = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_certificate_expiry_timestamp_seconds",
		Help: "When the certificate expires that this replica serves with, in seconds since 1970; 0: there is none yet.",
	})

	trustedNow = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_certificate_trusted",
		Help: "1 while the webhook configurations trust the certificate that this replica serves with, else 0. With certificates from files nobody knows: 0.",
	})

	authoritiesNow = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_certificate_authorities",
		Help: "Number of authorities that the webhook configurations should trust at present; more than 1 while a rotation is on its way.",
	})
)

func init() {
	// The registry that controller-runtime's metrics server serves.
	metrics.Registry.MustRegister(expiry, trustedNow, authoritiesNow)
}

func observeServed(leaf *x509.Certificate) {
	if leaf != nil {
		expiry.Set(float64(leaf.NotAfter.Unix()))
	}
}

func observeTrusted(is bool) {
	if is {
		trustedNow.Set(1)
	} else {
		trustedNow.Set(0)
	}
}

func observeAuthorities(n int) { authoritiesNow.Set(float64(n)) }
