package z2jh

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/slipway-hub/slipway/policy/kubespawner"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Options say what a policy needs beside the values.
type Options struct {
	// Name of the policy. Empty: imported.
	Name string
	// Namespace that the chart is installed in. Empty: jhub.
	Namespace string
	// Hub is the value of the label slipway.dev/hub that the policy is for. Empty: every hub.
	Hub string
	// Release is the Helm release's name. Empty: not known, and then neither are the names and labels that hold it.
	Release string
	// ChartVersion whose defaults and rules hold, 3.3.8 or 4.4.0. Empty: the newest that we know, and no tag for its images.
	ChartVersion string
	// Evident and AllowedGroups are those of kubespawner.Options.
	Evident, AllowedGroups bool
}

// Import reads values files in Helm's order, later over earlier, and gives the policy that makes the pods which the chart's hub makes. names are what
// the files are called in messages. The error holds every *kubespawner.ProblemError that was found.
func Import(values [][]byte, names []string, o Options) (*v1alpha1.SpawnPolicy, []kubespawner.Finding, error) {
	imported, err := ImportAll(values, names, o)
	if err != nil {
		return nil, nil, err
	}
	return imported.Policy, imported.Findings, nil
}

// ImportAll is Import with comments.
func ImportAll(values [][]byte, names []string, o Options) (*kubespawner.Imported, error) {
	b, err := derive(values, names, o)
	if err != nil {
		return nil, err
	}
	imported, err := kubespawner.Import(b.traits(), kubespawner.Options{
		Name: o.Name, Namespace: b.namespace(), Hub: o.Hub, Evident: o.Evident, AllowedGroups: o.AllowedGroups,
		Launcher: v1alpha1.ServiceAccountRef{Namespace: b.namespace(), Name: b.serviceAccount()},
		Origins:  b.origins,
	})
	if err != nil {
		return nil, b.placed(err)
	}
	b.inProfiles()
	b.unknown()
	b.stays()
	imported.Comments["spec.launchers"] = "the chart's service account of the hub"
	imported.Findings = append(b.findings, imported.Findings...)
	for i := range imported.Findings {
		f := &imported.Findings[i]
		f.Source = b.source(f.Path, f.Source)
	}
	return imported, nil
}

// Traits are KubeSpawner's settings as the chart's jupyterhub_config.py derives them from the values, under their Python names.
func Traits(values [][]byte, names []string, o Options) (map[string]any, error) {
	b, err := derive(values, names, o)
	if err != nil {
		return nil, err
	}
	return b.traits(), nil
}

// derive reads the values and applies the chart's rules, in the order in which its own code does.
func derive(values [][]byte, names []string, o Options) (*builder, error) {
	c, known := chartOf(o.ChartVersion)
	if !known {
		return nil, fmt.Errorf("chart version %q: must be a version such as 4.4.0", o.ChartVersion)
	}
	b := &builder{opts: o, chart: c, reader: reader{places: map[string]string{}}, origins: map[string]string{}, kube: map[string]any{}, spawner: map[string]any{}}
	var given Object
	for i, data := range values {
		b.file = names[i]
		given = overlaid(given, b.read(data))
	}
	if len(b.problems) > 0 {
		return nil, errors.Join(b.problems...)
	}
	b.values = overDefaults(given, c.defaults())
	b.check(b.values, schema, "")
	if len(b.problems) > 0 {
		return nil, errors.Join(b.problems...)
	}
	b.firstChoices()
	b.values, _ = bySecret(b.values).(Object)
	b.identity()
	b.plain()
	b.image()
	b.pullSecrets()
	b.scheduling()
	b.storage()
	b.hubSide()
	b.metadataBlock()
	b.passThrough()
	b.python()
	if len(b.problems) > 0 {
		return nil, errors.Join(b.problems...)
	}
	return b, nil
}

// builder gathers traits as the chart does: in two sections, of which KubeSpawner's beats Spawner's.
type builder struct {
	reader
	opts    Options
	chart   chart
	values  Object
	origins map[string]string
	kube    map[string]any
	spawner map[string]any
}

func (b *builder) traits() map[string]any {
	out := map[string]any{}
	maps.Copy(out, b.spawner)
	maps.Copy(out, b.kube)
	return out
}

// get walks to a value. It is false where a level is missing; a level that is null gives null.
func (b *builder) get(path string) (any, bool) {
	var v any = b.values
	for level := range strings.SplitSeq(path, ".") {
		o, isMap := v.(Object)
		below, has := o.Get(level)
		if !isMap || !has {
			return nil, false
		}
		v = below
	}
	return v, true
}

func (b *builder) text(path string) string {
	v, _ := b.get(path)
	s, _ := v.(string)
	return s
}

func (b *builder) is(path string) bool {
	v, _ := b.get(path)
	return v == true
}

func (b *builder) list(path string) []any {
	v, _ := b.get(path)
	l, _ := v.([]any)
	return l
}

// set gives KubeSpawner a trait, and remembers which value it came from.
func (b *builder) set(trait string, v any, path string) {
	b.kube[trait] = v
	b.origins[trait] = path
}

func (b *builder) setSpawner(trait string, v any, path string) {
	b.spawner[trait] = v
	b.origins[trait] = path
}

func (b *builder) refusef(at, format string, args ...any) {
	b.problems = append(b.problems, &kubespawner.ProblemError{Path: at, Source: b.source(at, ""), Message: fmt.Sprintf(format, args...)})
}

func (b *builder) find(kind kubespawner.Kind, at, why, do string) {
	b.findings = append(b.findings, kubespawner.Finding{Kind: kind, Path: at, Why: why, Do: do})
}

// source says where a path stands: its own place, or that of what it is in. What no file says is the chart's default.
func (b *builder) source(path, known string) string {
	if known != "" {
		return known
	}
	for at := path; ; at = parent(at) {
		if place, has := b.places[at]; has {
			return place
		}
		// A whole section, singleuser, would lead nowhere.
		if !strings.ContainsAny(parent(at), ".[") {
			return ""
		}
	}
}

// parent is the path without its last part.
func parent(path string) string {
	if strings.HasSuffix(path, "]") {
		return path[:strings.LastIndexByte(path, '[')]
	}
	return path[:max(0, strings.LastIndexByte(path, '.'))]
}

// placed adds FILE:LINE to problems that know only their path.
func (b *builder) placed(err error) error {
	problems := kubespawner.Problems(err)
	if len(problems) == 0 {
		return err
	}
	all := make([]error, len(problems))
	for i, p := range problems {
		p.Source = b.source(p.Path, p.Source)
		all[i] = p
	}
	return errors.Join(all...)
}

func (b *builder) namespace() string {
	if b.opts.Namespace == "" {
		return "jhub"
	}
	return b.opts.Namespace
}
