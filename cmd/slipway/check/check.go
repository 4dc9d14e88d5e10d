// Package check looks at an installation of Slipway in a cluster, and says what is wrong with it and how to mend that. It changes
// nothing: what it creates, to see whether somebody answers, is a dry run.
package check

import (
	"context"
	"time"

	"k8s.io/client-go/rest"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	// OK: the check found nothing.
	OK Severity = "ok"
	// Note is worth knowing, and may be meant.
	Note Severity = "note"
	// Warning: it works, but will not for long, or not for everybody.
	Warning Severity = "warning"
	// Wrong: servers don't start, or start as somebody else than policy likes.
	Wrong Severity = "wrong"
	// Unseen: the check, or a part of it, couldn't be done.
	Unseen Severity = "unseen"
)

// Finding is one thing that a check has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	// Check is the name of the check.
	Check string `json:"check"`
	// Object is the kind and name, with its namespace if it has one; empty where it isn't about one object.
	Object string `json:"object,omitempty"`
	// Field is a path in the object; empty where it is about all of it.
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	// Mend says what to do: a command wherever there is one. Empty where nothing has to be done.
	Mend string `json:"mend,omitempty"`
}

// Options says what to look at.
type Options struct {
	// Config is that of a client whose user looks.
	Config *rest.Config
	// Namespace of the installation. Empty: the one that the webhook configurations call.
	Namespace string
	// Version of this program, to be compared with that of the cluster. Empty: it isn't compared.
	Version string
	// Now is when certificates have to be valid. Zero: now.
	Now time.Time
}

// Report is everything that was found, in the order of the checks.
type Report struct {
	// Namespace of the installation.
	Namespace string    `json:"namespace"`
	Findings  []Finding `json:"findings"`
}

// Count is how many findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Severity == s {
			n++
		}
	}
	return n
}

// question is one check.
type question struct {
	name string
	look func(ctx context.Context, in *installation) []Finding
	// good is said where nothing was found.
	good string
}

// questions in the order in which one would ask them: what the others rest on comes first.
var questions = []question{
	{"api server", lookAtServer, "is new enough"},
	{"crds", lookAtCRDs, "both are established and know every field of this version"},
	{"fitting webhook", lookAtFitting, "is asked about every pod with the hub label"},
	{"verifying webhook", lookAtVerifying, "is asked about every pod that is governed, and every pod of a launcher"},
	{"policy webhook", lookAtPolicyWebhook, "is asked about every policy"},
	{"other webhooks", lookAtNeighbours, "none comes before the fitting webhook or calls its replicas"},
	{"replicas", lookAtReplicas, "as many are ready as are wanted"},
	{"service", lookAtService, "leads to ready replicas"},
	{"certificate", lookAtCertificates, "is valid, for the Service's name, and trusted by the API server"},
	{"answers", lookAtAnswers, "the API server reaches every webhook that is configured"},
	{"admission policies", lookAtAdmission, "all are bound and deny"},
	{"launcher accounts", lookAtLaunchers, "policies, admission policies and the verifying webhook name the same"},
	{"launcher rights", lookAtLauncherRights, "launchers may do what they need and nothing dangerous"},
	{"webhook rights", lookAtWebhookRights, "the webhook may do what it needs"},
	{"policies", lookAtPolicies, "all are ready and enforced"},
	{"namespaces", lookAtNamespaces, "all that hubs use have the mark and a policy"},
	{"pods", lookAtPods, "every hub's pod was fitted by policy"},
}

// Run asks every question, whatever the others found. The error says that the cluster can't be asked at all.
func Run(ctx context.Context, o Options) (*Report, error) {
	in, err := newInstallation(ctx, o)
	if err != nil {
		return nil, err
	}
	report := &Report{Namespace: in.namespace}
	for _, q := range questions {
		in.unseen = nil
		findings := append(q.look(ctx, in), in.unseen...)
		if len(findings) == 0 {
			findings = []Finding{{Severity: OK, Message: q.good}}
		}
		for _, f := range findings {
			f.Check = q.name
			report.Findings = append(report.Findings, f)
		}
	}
	return report, nil
}
