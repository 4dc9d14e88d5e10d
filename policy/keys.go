package policy

// The labels and annotations that say who a server is for. A hub writes them, the engine reads them.
const (
	LabelHub        = "slipway.dev/hub"
	LabelUsername   = "hub.jupyter.org/username"
	LabelServername = "hub.jupyter.org/servername"

	AnnotationUsername        = "hub.jupyter.org/username"
	AnnotationServername      = "hub.jupyter.org/servername"
	AnnotationUserID          = "slipway.dev/user-id"
	AnnotationGroups          = "slipway.dev/groups"
	AnnotationProfile         = "slipway.dev/profile"
	AnnotationOptions         = "slipway.dev/options"
	AnnotationUserAnnotations = "slipway.dev/user-annotations"
	AnnotationEnvSecret       = "slipway.dev/env-secret"
	AnnotationEnvKeys         = "slipway.dev/env-keys"
	// AnnotationApplied is written by the engine: the policies that made the pod, as JSON (Applied).
	AnnotationApplied = "slipway.dev/applied"
	// AnnotationConnect is written by the engine where the hub doesn't reach the server by the pod's own address:
	// scheme://host:port.
	AnnotationConnect = "slipway.dev/connect"

	// LabelClaim is on a claim beside the home: its name in the setting claims.
	LabelClaim = "slipway.dev/claim"
	// AnnotationDeleteRequested on a claim asks for it to be deleted. Its value is the user name of the account that asks, which
	// an admission policy holds it to.
	AnnotationDeleteRequested = "slipway.dev/delete-requested"
)

// NotebookContainer is the name of the container that the user's server runs in.
const NotebookContainer = "notebook"

// The TLS files of a server whose hub has internal TLS, as JupyterHub names them. As keys of the env Secret they are files, and no
// variables.
const (
	CertificateKeyFile = "ssl.key"
	CertificateFile    = "ssl.crt"
	CertificateCAFile  = "notebooks-ca_trust.crt"
)

// CertificateFiles are the names of all TLS files, in the order in which JupyterHub's variables name them.
func CertificateFiles() []string {
	return []string{CertificateKeyFile, CertificateFile, CertificateCAFile}
}
