package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slipway-hub/slipway/cmd/terminal"
	"github.com/slipway-hub/slipway/policy"
)

func newExplain(io streams) *cobra.Command {
	var server serverFlags
	var input inputFlags
	var output, why string
	cmd := &cobra.Command{
		Use:   "explain (--user NAME [-f POLICIES]... | POD)",
		Short: "Say which policy set what, or why a pod is denied",
		Long: `Says of a server which layer, policy and path there set each field of its pod and claims, and what that overrode; of a denied
one each reason with its policy and path; and what audited policies would do if they were enforced. The server is one that could be
started, as with render, or the running POD of the cluster: its policies are then those of now.

--why tells the whole chain of one field, of all that lie below it, or of a setting: every layer that spoke, weakest first. A field
may be named by the end of its path, items by their name, and * stands for anything: image, env[COURSE], claim, volumes[*].nfs.

Values of the hub, of environment variables, of arguments and of hooks aren't printed. As JSON, "fields" has for each field its path,
its value, and in "by" the layer, policy, path and setting, with those that it overrode, strongest first; "settings" has the same for
the settings, and "denials" the code, policy, field and message of each reason. Names are added to this form and never changed.`,
		Example: `  slipway explain -f policies/ --namespace data101 --user alice
  slipway explain -f policies/ --namespace data101 --user alice --why image
  slipway explain -n data101 jupyter-alice --why 'volumes[home]'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			server.complete(cmd, len(input.files) == 0 || len(args) > 0)
			write, err := explainer(output)
			if err != nil {
				return invalid(err)
			}
			r, err := requestOf(cmd.Context(), args, &server, &input, io.in)
			if err != nil {
				return err
			}
			if why != "" {
				return explainWhy(r, why, output, write, io.out)
			}
			return explain(r, write, io.out)
		},
	}
	server.register(cmd)
	input.register(cmd)
	cmd.Flags().StringVar(&why, "why", "", "tell the whole chain of one `field`, or of what lies below it")
	formatFlag(cmd, &output, "table", "yaml", "json")
	return cmd
}

// requestOf is the request for the running pod that an argument names, or for the server that the flags describe.
func requestOf(ctx context.Context, args []string, server *serverFlags, input *inputFlags, in io.Reader) (*request, error) {
	if len(args) == 0 {
		return newRequest(ctx, server, input, in)
	}
	return runningRequest(ctx, args[0], server, input, in)
}

// explain writes what becomes of the server. A denial is an explanation too, and its exit code says so.
func explain(r *request, write func(io.Writer, *explanation) error, out io.Writer) error {
	r.input.Provenance = true
	result, err := r.apply()
	if result == nil {
		return err
	}
	if err := write(out, explanationOf(r, result)); err != nil {
		return failed(fmt.Errorf("write the explanation: %w", err))
	}
	if len(result.Denials) > 0 {
		return &failure{code: exitDenied} // the explanation has said why
	}
	return nil
}

// explanation is what is known of a server; programs read it as JSON.
type explanation struct {
	Pod       string `json:"pod,omitempty"`
	User      string `json:"user"`
	Namespace string `json:"namespace"`
	// Outcome is fitted, denied, or untouched where audited policies alone match.
	Outcome  string             `json:"outcome"`
	Policies []policy.PolicyRef `json:"policies,omitempty"`
	// Unmatched are the others that could have been for it, and why they aren't.
	Unmatched []policy.Unmatched `json:"unmatched,omitempty"`
	Denials   []explainedDenial  `json:"denials,omitempty"`
	Fields    []policy.Field     `json:"fields,omitempty"`
	Settings  []policy.Origin    `json:"settings,omitempty"`
	Audit     *explainedAudit    `json:"audit,omitempty"`
	Warnings  []string           `json:"warnings,omitempty"`
}

type explainedDenial struct {
	Code    policy.Code       `json:"code"`
	Policy  *policy.PolicyRef `json:"policy,omitempty"`
	Field   string            `json:"field,omitempty"`
	Message string            `json:"message"`
}

type explainedAudit struct {
	Policies    []policy.PolicyRef  `json:"policies"`
	Outcome     policy.AuditOutcome `json:"outcome"`
	Denials     []explainedDenial   `json:"denials,omitempty"`
	Lifted      []explainedDenial   `json:"lifted,omitempty"`
	Differences []policy.Difference `json:"differences,omitempty"`
}

func explanationOf(r *request, result *policy.Result) *explanation {
	e := &explanation{
		Pod: r.input.Identity.Name, User: r.input.Identity.User, Namespace: r.input.Namespace.Name, Outcome: "fitted", Policies: result.Applied.Policies,
		Unmatched: r.policies.Unmatched(r.input), Denials: explainDenials(result.Denials), Fields: result.Fields, Settings: result.Provenance, Warnings: result.Warnings,
	}
	switch {
	case len(result.Denials) > 0:
		e.Outcome = "denied"
	case result.Untouched:
		e.Outcome = "untouched"
	}
	if result.Pod != nil {
		e.Pod = result.Pod.Name
	}
	if a := result.Audit; a != nil {
		e.Audit = &explainedAudit{
			Policies: a.Policies, Outcome: a.Outcome(), Differences: a.Differences,
			Denials: explainDenials(a.Denials), Lifted: explainDenials(a.Lifted),
		}
	}
	return e
}

func explainDenials(denials []policy.Denial) []explainedDenial {
	explained := make([]explainedDenial, 0, len(denials))
	for _, d := range denials {
		explained = append(explained, explainedDenial{d.Code, d.Policy, d.Field, d.Message})
	}
	return explained
}

// explainer is the function that writes an explanation in a format.
func explainer(format string) (func(io.Writer, *explanation) error, error) {
	if format == "table" {
		return writeTables, nil
	}
	encode, err := encoder(format)
	if err != nil {
		return nil, fmt.Errorf("--output %q: the formats are table, yaml and json", format)
	}
	return func(w io.Writer, e *explanation) error {
		text, err := encode(e)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}, nil
}

func writeTables(w io.Writer, e *explanation) error {
	paint := terminal.For(w)
	var b strings.Builder
	named := e.Pod
	if named == "" { // it was denied before policy gave it one
		named = "of user " + e.User
	}
	said := map[string]string{
		"fitted": "fitted by " + names(e.Policies), "denied": "denied", "untouched": "left as it is: audited policies alone match",
	}
	fmt.Fprintf(&b, "%s\n", paint.Bold("pod "+named+" in namespace "+e.Namespace+": "+said[e.Outcome]))
	unmatchedTable(&b, e.Unmatched)
	denialTable(&b, "", e.Denials)
	fieldTable(&b, e.Fields)
	for _, text := range e.Warnings {
		fmt.Fprintf(&b, "\n%s\n", paint.Yellow("warning: "+text))
	}
	if a := e.Audit; a != nil {
		fmt.Fprintf(&b, "\n%s\n", paint.Bold("audited by "+names(a.Policies)+": if enforced, the pod would be "+string(a.Outcome)))
		denialTable(&b, "would be denied:", a.Denials)
		denialTable(&b, "would not be denied any more:", a.Lifted)
		differenceTable(&b, a.Differences)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func unmatchedTable(b *strings.Builder, unmatched []policy.Unmatched) {
	rows := make([][]string, 0, len(unmatched))
	for i := range unmatched {
		u := &unmatched[i]
		rows = append(rows, []string{u.Policy.String(), u.Path, u.Message})
	}
	table(b, []string{"NOT FOR THIS SERVER", "PATH", "WHY"}, rows)
}

func denialTable(b *strings.Builder, head string, denials []explainedDenial) {
	rows := make([][]string, 0, len(denials))
	for _, d := range denials {
		rows = append(rows, []string{string(d.Code), ref(d.Policy), dash(d.Field), d.Message})
	}
	if len(rows) > 0 && head != "" {
		fmt.Fprintf(b, "\n%s\n", head)
	}
	table(b, []string{"CODE", "POLICY", "PATH", "MESSAGE"}, rows)
}

func differenceTable(b *strings.Builder, differences []policy.Difference) {
	rows := make([][]string, 0, len(differences))
	for _, d := range differences {
		rows = append(rows, []string{string(d.Change), d.Path})
	}
	table(b, []string{"WOULD BE", "PATH"}, rows)
}

// table writes nothing where there are no rows.
func table(b *strings.Builder, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	const gap = 2
	w := tabwriter.NewWriter(b, 0, 0, gap, ' ', 0)
	fmt.Fprintf(w, "\n%s\n", strings.Join(head, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a Builder takes everything
}

func names(refs []policy.PolicyRef) string {
	all := make([]string, 0, len(refs))
	for _, r := range refs {
		all = append(all, r.String())
	}
	return strings.Join(all, ", ")
}

func ref(p *policy.PolicyRef) string {
	if p == nil {
		return "-"
	}
	return p.String()
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
