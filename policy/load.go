package policy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	sigsjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Decode reads the policies of a YAML or JSON file, one or several documents, v1 Lists included. It is strict: an unknown
// or doubled field and a null are errors with their path. name is the file's, for the errors; all of them are
// given at once (errors.Join), and then no policies.
func Decode(name string, data []byte) (Policies, error) {
	d := decoder{name: name}
	reader := Documents(data)
	for n := 1; ; n++ {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.fail(n, "", err.Error())
			break
		}
		d.document(n, doc)
	}
	if len(d.errs) > 0 {
		return Policies{}, errors.Join(d.errs...)
	}
	return d.policies, nil
}

// Documents reads the documents of a YAML or JSON file one by one. By itself, utilyaml's reader loses a last line without an
// end whose length is a multiple of its buffer's: in JSON that is the whole file.
func Documents(data []byte) *utilyaml.YAMLReader {
	return utilyaml.NewYAMLReader(bufio.NewReader(io.MultiReader(bytes.NewReader(data), strings.NewReader("\n"))))
}

// DecodeObject reads the spec of one policy as strictly as Decode does, from an object of the API server: what stands in its metadata and
// status, which others write, is left alone. The errors are in the order of their paths, and then there are no policies.
func DecodeObject(data []byte) (Policies, []PolicyError) {
	var object struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   metav1.ObjectMeta `json:"metadata"`
		Spec       json.RawMessage   `json:"spec"`
	}
	d := decoder{}
	if err := utiljson.Unmarshal(data, &object); err != nil {
		d.fail(1, "", "can't be read: "+err.Error())
		return Policies{}, d.faults
	}
	if len(object.Spec) == 0 {
		object.Spec = json.RawMessage("{}")
	}
	d.object(1, []byte(`{"apiVersion":`+asJSON(object.APIVersion)+`,"kind":`+asJSON(object.Kind)+
		`,"metadata":{"name":`+asJSON(object.Metadata.Name)+`,"namespace":`+asJSON(object.Metadata.Namespace)+
		`,"generation":`+asJSON(object.Metadata.Generation)+`},"spec":`+string(object.Spec)+`}`))
	if len(d.faults) > 0 {
		return Policies{}, d.faults
	}
	return d.policies, nil
}

// decoder collects policies and what is wrong with them, as errors that begin with the file and, for DecodeObject, as faults.
type decoder struct {
	name     string
	policies Policies
	errs     []error
	faults   []PolicyError
	// of is the policy that is being read, as PolicyError names it; "" before it is known.
	of string
}

func (d *decoder) fail(n int, path, message string) {
	where := d.name
	if n > 1 {
		where = fmt.Sprintf("%s: document %d", d.name, n)
	}
	for _, part := range []string{d.of, path} {
		if part != "" {
			where += ": " + part
		}
	}
	d.errs = append(d.errs, fmt.Errorf("%s: %s", where, message))
	d.faults = append(d.faults, PolicyError{Field: path, Message: message})
}

func (d *decoder) document(n int, doc []byte) {
	data, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		d.fail(n, "", notYAML(err))
		return
	}
	if string(data) != "null" || !isBlank(doc) {
		d.object(n, data)
	}
}

// notYAML says what is wrong with a document. A tab is what people can't see.
func notYAML(err error) string {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	if strings.Contains(text, "cannot start any token") {
		text += " (YAML is indented with spaces, never with tabs)"
	}
	return text
}

func (d *decoder) object(n int, data []byte) {
	t, err := asTree(data)
	if err != nil {
		d.fail(n, "", "must be a SpawnPolicy or a ClusterSpawnPolicy")
		return
	}
	if t["kind"] == "List" {
		items, isList := t["items"].([]any)
		if !isList && t["items"] != nil {
			d.fail(n, "items", "must be a list of policies")
		}
		for _, item := range items {
			d.object(n, []byte(asJSON(item)))
		}
		return
	}
	before := len(d.errs)
	d.of = titleOf(t)
	defer func() { d.of = "" }()
	for _, e := range nulls(t, nil) {
		d.fail(n, e.Field, e.ErrorBody())
	}
	if len(d.errs) > before {
		return
	}
	version, _ := t["apiVersion"].(string)
	kind, _ := t["kind"].(string)
	if version != v1alpha1.GroupVersion.String() {
		d.fail(n, "apiVersion", fmt.Sprintf("is %q, must be %q", version, v1alpha1.GroupVersion))
		return
	}
	switch kind {
	case "ClusterSpawnPolicy":
		var p v1alpha1.ClusterSpawnPolicy
		if d.strict(n, data, &p) && d.hasName(n, p.Name) {
			d.policies.Cluster = append(d.policies.Cluster, p)
		}
	case "SpawnPolicy":
		var p v1alpha1.SpawnPolicy
		if d.strict(n, data, &p) && d.hasName(n, p.Name) {
			d.policies.Namespaced = append(d.policies.Namespaced, p)
		}
	default:
		d.fail(n, "kind", fmt.Sprintf("is %q, must be SpawnPolicy or ClusterSpawnPolicy", kind))
	}
}

func (d *decoder) hasName(n int, name string) bool {
	if name == "" {
		d.fail(n, "metadata.name", "is missing: every policy has a name")
	}
	return name != ""
}

func (d *decoder) strict(n int, data []byte, into any) bool {
	strict, err := sigsjson.UnmarshalStrict(data, into)
	if err != nil {
		t, _ := asTree(data)
		for _, e := range misfits(t, reflect.TypeOf(into), nil) {
			d.fail(n, e.Field, e.ErrorBody())
		}
		return false
	}
	for _, e := range strict {
		fault := strictError(e, reflect.TypeOf(into), nil)
		d.fail(n, fault.Field, fault.ErrorBody())
	}
	return len(strict) == 0
}

// titleOf is a policy's name as PolicyRef writes it, as far as it is known; "" for what is no policy.
func titleOf(object tree) string {
	kind, _ := object["kind"].(string)
	meta, _ := object["metadata"].(tree)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	switch {
	case name == "" || kind != "SpawnPolicy" && kind != "ClusterSpawnPolicy":
		return ""
	case kind == "SpawnPolicy" && namespace != "":
		name = namespace + "/" + name
	}
	return kind + " " + name
}

// isBlank: a document of comments alone is no document. Only of what YAML finds nothing in: it ends lines, and comments, in more ways
// than one.
func isBlank(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}
