package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/cmd/terminal"
	"github.com/slipway-hub/slipway/policy"
)

// maxShown bounds a value in a table, in bytes.
const maxShown = 48

// fieldTable has one row for each field, in the order of the pod, then the claims.
func fieldTable(b *strings.Builder, fields []policy.Field) {
	rows := make([][]string, 0, len(fields))
	for i := range fields {
		f := &fields[i]
		var overrode []string
		for _, weaker := range f.By.Overrode {
			overrode = append(overrode, wordOf(&weaker))
		}
		rows = append(rows, []string{f.Path, shown(f.Value, f.Private), f.By.Layer, ref(f.By.Policy), dash(f.By.Path), dash(strings.Join(overrode, ", "))})
	}
	table(b, []string{"FIELD", "VALUE", "LAYER", "POLICY", "PATH", "OVERRODE"}, rows)
}

func wordOf(o *policy.Origin) string {
	if o.Policy == nil {
		return o.Layer
	}
	return o.Layer + " (" + o.Policy.String() + " " + o.Path + ")"
}

func shown(value string, private bool) string {
	switch {
	case private:
		return "(not shown)"
	case len(value) > maxShown:
		return strings.ToValidUTF8(value[:maxShown-len("…")], "") + "…"
	}
	return dash(value)
}

// why is what --why found: the fields, and what of a running pod no policy has set.
type why struct {
	fields   []policy.Field
	settings []policy.Origin // those that land in no field
	unset    []unsetField
}

// unsetField is a field of a running pod that policy doesn't set.
type unsetField struct{ path, value, by string }

// explainWhy tells how one field, or each below it, came by its value.
func explainWhy(r *request, pattern, output string, write func(io.Writer, *explanation) error, out io.Writer) error {
	r.input.Provenance = true
	result, err := r.apply()
	if result == nil {
		return err
	}
	e := explanationOf(r, result)
	if result.Pod == nil {
		return explain(r, write, out) // a denied server has no fields
	}
	found := whyIn(r, result, pattern)
	if len(found.fields)+len(found.settings)+len(found.unset) == 0 {
		return invalid(fmt.Errorf("--why %s: neither a field of this pod and its claims nor a setting that anybody sets%s", pattern, nearest(pattern, result)))
	}
	if output != "table" {
		e.Fields, e.Settings = found.fields, found.settings
		err = write(out, e)
	} else {
		_, err = io.WriteString(out, found.text(terminal.For(out)))
	}
	if err != nil {
		return failed(fmt.Errorf("write the explanation: %w", err))
	}
	return nil
}

func whyIn(r *request, result *policy.Result, pattern string) *why {
	matches := matcherOf(pattern)
	var found why
	for i := range result.Fields {
		f := &result.Fields[i]
		if matches(f.Path) || matches(f.By.Setting) {
			found.fields = append(found.fields, *f)
		}
	}
	for i := range result.Provenance {
		o := &result.Provenance[i]
		if matches(o.Setting) && !slices.ContainsFunc(found.fields, func(f policy.Field) bool { return f.By.Setting == o.Setting }) {
			found.settings = append(found.settings, *o)
		}
	}
	live := r.input.Sent
	if live == nil || live.UID == "" || result.Kept {
		return &found
	}
	found.unset = unsetFields(live, result, matches)
	return &found
}

// unsetFields are those of a running pod that policy doesn't set now, or sets otherwise.
func unsetFields(live *corev1.Pod, result *policy.Result, matches func(string) bool) []unsetField {
	var unset []unsetField
	drift, fitted := policy.Drift(live, result), map[string]string{}
	for _, l := range policy.PodLeaves(result.Pod) {
		fitted[l.Path] = l.Value
	}
	for _, l := range policy.PodLeaves(live) {
		value, set := fitted[l.Path]
		differs := slices.ContainsFunc(drift, func(d policy.Difference) bool { return policy.IsBelow(l.Path, d.Path) })
		u := unsetField{path: l.Path, value: shown(l.Value, l.Private)}
		switch {
		case !matches(l.Path), set && (value == l.Value || !differs):
			continue
		case set:
			u.by = "the running pod has this value, and policy gives another now: policy has changed, or somebody changed the pod"
		case differs:
			u.by = "no policy of now sets it: an earlier one, another webhook, or somebody since"
		default:
			u.by = "policy doesn't set it: the API server, its admission or the node's agents filled it in"
		}
		unset = append(unset, u)
	}
	return unset
}

// matcherOf says of a path whether the pattern names it, something above it, or the end of something above it.
func matcherOf(pattern string) func(path string) bool {
	text := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `[^\]]*`)
	whole := regexp.MustCompile(`(^|[.\[])` + text + `($|[.\[\]])`)
	return whole.MatchString
}

// nearest names what could have been meant.
func nearest(pattern string, result *policy.Result) string {
	names := map[string]bool{}
	last := func(path string) string { return path[strings.LastIndexAny(path, ".[")+1:] }
	for i := range result.Fields {
		names[strings.TrimSuffix(last(result.Fields[i].Path), "]")] = true
	}
	for i := range result.Provenance {
		setting, _, _ := strings.Cut(result.Provenance[i].Setting, "[")
		names[setting] = true
	}
	if near := policy.DidYouMean(strings.TrimSuffix(last(pattern), "]"), slices.Collect(maps.Keys(names))); near != "" {
		return near
	}
	return "; slipway explain without --why lists them all"
}

func (w *why) text(paint terminal.Painter) string {
	var b strings.Builder
	for i := range w.fields {
		f := &w.fields[i]
		head := f.Path + ": " + cmp.Or(f.Value, "-")
		if f.Private {
			head = f.Path + ": (not shown)"
		}
		chain(&b, paint, head, &f.By)
	}
	for i := range w.settings {
		o := &w.settings[i]
		chain(&b, paint, "setting "+o.Setting+": "+cmp.Or(o.Value, "-"), o)
	}
	for _, u := range w.unset {
		fmt.Fprintf(&b, "%s\n  %s\n\n", paint.Bold(u.path+": "+u.value), u.by)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// chain writes who spoke, weakest first, and why the last of them has the last word.
func chain(b *strings.Builder, paint terminal.Painter, head string, by *policy.Origin) {
	fmt.Fprintln(b, paint.Bold(head))
	spoke := slices.Clone(by.Overrode)
	slices.Reverse(spoke)
	rows := [][]string{}
	for i := range spoke {
		rows = append(rows, []string{"", spoke[i].Layer, ref(spoke[i].Policy), dash(spoke[i].Path), dash(spoke[i].Value)})
	}
	rows = append(rows, []string{"*", by.Layer, ref(by.Policy), dash(by.Path), dash(by.Value)})
	var lines strings.Builder
	table(&lines, []string{"", "LAYER", "POLICY", "PATH", "SAID"}, rows)
	b.WriteString(strings.TrimPrefix(lines.String(), "\n"))
	fmt.Fprintf(b, "  %s\n\n", reason(by))
}

// reason says why the strongest origin is the strongest.
func reason(by *policy.Origin) string {
	switch {
	case by.Layer == "identity":
		return "the hub says it of the server, and no policy may change that"
	case by.Layer == "mutation":
		return "mutations change the pod that the settings made"
	case len(by.Overrode) == 0:
		return "nobody else said anything of it"
	case by.Overrode[0].Layer == by.Layer:
		return "within a layer, the higher priority wins, then the later name"
	case by.Setting != "" && by.Overrode[0].Setting != by.Setting && by.Overrode[0].Setting != "":
		return "setting " + by.Setting + " is put on the pod after " + by.Overrode[0].Setting
	}
	return "the layer " + by.Layer + " is stronger than " + by.Overrode[0].Layer
}
