package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"

	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/slipway-hub/slipway/certs"
)

// certificates are what a replica serves with: certs.Serving or certs.Keeper.
type certificates interface {
	Start(ctx context.Context) error
	TLS(c *tls.Config)
	// Ready and Registered are the readiness of the certificate itself, and of those who must trust it.
	Ready(r *http.Request) error
	Registered(r *http.Request) error
	// Authorities are to be reported, again when there is something in Changed.
	Authorities() string
	Changed() <-chan struct{}
}

// newCertificates gives them, and who leads the replicas in making them.
func newCertificates(o *Options) (certificates, *leader, error) {
	if o.Namespace != "" {
		var err error
		if o.Identity, err = identityOf(o); err != nil {
			return nil, nil, err
		}
	}
	if mode := o.Certificates.Mode; mode == "" || mode == certs.Files {
		return certs.NewServing(o.CertDir, o.Log), nil, nil
	}
	settings := keeperOptions(o)
	keeper, err := certs.NewKeeper(settings)
	if err != nil {
		return nil, nil, err
	}
	coordination, err := coordinationclient.NewForConfig(o.Config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client for Leases: %w", err)
	}
	// A Lease for each mode: replicas that change over from one to the other don't wait for each other.
	leases := replicaLeases(coordination.Leases(o.Namespace))
	lead := func(ctx context.Context) { keeper.Lead(ctx, leases) }
	return keeper, newLeader(settings.Mode.Secret(), coordination, o, lead, o.Log.WithName("certificate")), nil
}

// keeperOptions fills in what is empty.
func keeperOptions(o *Options) certs.KeeperOptions {
	k := o.Certificates
	if k.Config == nil {
		k.Config = o.Config
	}
	if k.Log.GetSink() == nil {
		k.Log = o.Log
	}
	k.Namespace, k.FieldManager = o.Namespace, component
	if k.Hosts == nil {
		k.Hosts = []string{o.ServiceName + "." + o.Namespace + ".svc"}
	}
	if k.Mutating == nil {
		k.Mutating = []string{ConfigurationName}
	}
	if k.Validating == nil {
		k.Validating = []string{VerifyConfigurationName, PolicyConfigurationName}
	}
	return k
}
