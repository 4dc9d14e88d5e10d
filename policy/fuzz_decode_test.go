package policy

import (
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// FuzzDecode: what is read from a file is all that stands in it, or there are errors that name the file.
func FuzzDecode(f *testing.F) {
	for _, file := range []string{"testdata/minimal.yaml", "examples/platform.yaml"} {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		policies, err := Decode("fuzz.yaml", data)
		if err != nil {
			joined, ok := err.(interface{ Unwrap() []error })
			require.True(t, ok)
			for _, e := range joined.Unwrap() {
				require.True(t, strings.HasPrefix(e.Error(), "fuzz.yaml: "), "%v", e)
			}
			require.Empty(t, policies)
			return
		}
		var written []any
		for i := range policies.Cluster {
			written = append(written, generic(t, asJSON(&policies.Cluster[i])))
		}
		clusterwide := len(written)
		for i := range policies.Namespaced {
			written = append(written, generic(t, asJSON(&policies.Namespaced[i])))
		}
		var cluster, namespaced int
		for _, read := range objectsIn(t, data) {
			at := clusterwide + namespaced
			if read["kind"] == "ClusterSpawnPolicy" {
				at = cluster
				cluster++
			} else {
				namespaced++
			}
			require.Less(t, at, len(written), "a policy is lost")
			require.Empty(t, lost(read, written[at], nil), "of %s", asJSON(read))
		}
		require.Equal(t, len(written), cluster+namespaced)
		again, err := Decode("again.yaml", []byte(asJSON(tree{"kind": "List", "items": withoutZeroes(written)})))
		require.NoError(t, err)
		require.Equal(t, asJSON(policies), asJSON(again))
	})
}

func generic(t *testing.T, text string) any {
	t.Helper()
	v, err := decodeExactly([]byte(text))
	require.NoError(t, err)
	return v
}

// objectsIn are the objects of a file, those of Lists too, read by nothing of ours but the splitting into documents.
func objectsIn(t *testing.T, data []byte) []tree {
	t.Helper()
	var objects []tree
	var add func(v any)
	add = func(v any) {
		object, ok := v.(tree)
		require.True(t, ok)
		if object["kind"] != "List" {
			objects = append(objects, object)
			return
		}
		items, isList := object["items"].([]any)
		require.True(t, isList || object["items"] == nil, "items that are no list are lost")
		for _, item := range items {
			add(item)
		}
	}
	for documents := Documents(data); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		text, err := yaml.YAMLToJSON(document)
		require.NoError(t, err)
		if v := generic(t, string(text)); v != nil { // nothing but comments
			add(v)
		}
	}
}

// lost are the paths at which what was read says something that isn't written. Outside of settings, where absent and empty are the
// same, what is empty is no loss; in settings it is.
func lost(read, written any, path *field.Path) []string {
	switch r := read.(type) {
	case tree:
		w, _ := written.(tree)
		var paths []string
		for key, value := range r {
			if have, has := w[key]; has || !isEmpty(value) || inSettings(path) && key != "unset" {
				paths = append(paths, lost(value, have, childOrKey(path, key))...)
			}
		}
		if w == nil && !isEmpty(read) {
			paths = append(paths, path.String())
		}
		return paths
	case []any:
		w, _ := written.([]any)
		if len(w) != len(r) {
			return []string{path.String()}
		}
		var paths []string
		for i := range r {
			paths = append(paths, lost(r[i], w[i], path.Index(i))...)
		}
		return paths
	}
	if sameScalar(read, written) {
		return nil
	}
	return []string{path.String()}
}

func inSettings(path *field.Path) bool {
	for _, name := range strings.FieldsFunc(path.String(), func(r rune) bool { return r == '.' || r == '[' }) {
		if name == "defaults" || name == "enforced" || name == "settings" {
			return true
		}
	}
	return false
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case tree:
		for _, below := range v {
			if !isEmpty(below) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	case json.Number:
		n, ok := new(big.Rat).SetString(v.String())
		return ok && n.Sign() == 0
	}
	return v == nil || v == "" || v == false
}

// sameScalar: a quantity and a time may be written in another way.
func sameScalar(a, b any) bool {
	if a == b {
		return true
	}
	text := func(v any) string {
		if n, ok := v.(json.Number); ok {
			return n.String()
		}
		s, _ := v.(string)
		return s
	}
	at, bt := text(a), text(b)
	if n, ok := new(big.Rat).SetString(at); ok {
		if m, ok := new(big.Rat).SetString(bt); ok && n.Cmp(m) == 0 {
			return true
		}
	}
	p, err := resource.ParseQuantity(strings.TrimSpace(at))
	q, err2 := resource.ParseQuantity(bt)
	if errorsNone(err, err2) && p.Cmp(q) == 0 {
		return true
	}
	s, err := time.Parse(time.RFC3339, at)
	u, err2 := time.Parse(time.RFC3339, bt)
	return errorsNone(err, err2) && s.Truncate(time.Second).Equal(u)
}

func errorsNone(errs ...error) bool { return errors.Join(errs...) == nil }

// withoutZeroes takes out what encoding adds: a creationTimestamp of null, an empty status.
func withoutZeroes(objects []any) []any {
	for _, o := range objects {
		object, _ := o.(tree)
		metadata, _ := object["metadata"].(tree)
		if metadata["creationTimestamp"] == nil {
			delete(metadata, "creationTimestamp")
		}
		if isEmpty(object["status"]) {
			delete(object, "status")
		}
	}
	if objects == nil {
		return []any{}
	}
	return objects
}
