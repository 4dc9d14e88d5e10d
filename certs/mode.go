package certs

import "fmt"

// Mode says where a replica's serving certificate comes from.
type Mode string

const (
	// Files are a folder's, whoever writes them there.
	Files Mode = "files"
	// SelfSignedMode is made and renewed by the replicas themselves.
	SelfSignedMode Mode = "selfSigned"
	// CertManagerMode is made and renewed by cert-manager, which also tells the API server whom to trust.
	CertManagerMode Mode = "certManager"
)

// Set makes a Mode of a flag's value.
func (m *Mode) Set(value string) error {
	switch mode := Mode(value); mode {
	case Files, SelfSignedMode, CertManagerMode:
		*m = mode
		return nil
	}
	return fmt.Errorf("must be %s, %s or %s", Files, SelfSignedMode, CertManagerMode)
}

// String is what Set takes.
func (m *Mode) String() string { return string(*m) }

// Type is what a flag's help calls it.
func (m *Mode) Type() string { return "mode" }

// Names of the Secrets of a release, in the webhook's namespace.
const (
	SelfSignedSecret  = "slipway-webhook-self-signed"
	CertManagerSecret = "slipway-webhook-cert-manager"
	// AuthoritiesSecret has in CAFile every authority that the API server must trust at present.
	AuthoritiesSecret = "slipway-webhook-ca"
)

// Secret is the one with the pair that replicas of this mode serve with.
func (m Mode) Secret() string {
	if m == CertManagerMode {
		return CertManagerSecret
	}
	return SelfSignedSecret
}

// other is the Secret that replicas serve with which haven't changed over to this mode yet, or any more.
func (m Mode) other() string {
	if m == CertManagerMode {
		return SelfSignedSecret
	}
	return CertManagerSecret
}
