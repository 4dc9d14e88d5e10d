// Package chart tests what helm makes of the chart: its objects, and what its values may be.
package chart

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/policy"
)

const (
	folder = "../../charts/slipway"
	// namespace is the release's.
	namespace = "slipway-system"
)

// values of the chart, as JSON has them.
type values = map[string]any

// template is the text that helm renders with these values, and perhaps more arguments.
func template(t *testing.T, v values, args ...string) (out, says string, err error) {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return helm(t, string(text), append([]string{"template", "slipway", folder, "--namespace", namespace, "--values", "-"}, args...)...)
}

// render gives the objects that helm renders with these values.
func render(t *testing.T, v values, args ...string) objects {
	t.Helper()
	out, says, err := template(t, v, args...)
	require.NoError(t, err, says)
	return parse(t, out)
}

// launcher are the values of a launcher that runs, by one hub's leave and with a certificate of somebody else's, and more of it.
func launcher(more values) values {
	return merged(values{
		"enabled": true, "tls": values{"secretName": "launcher-tls"}, "accounts": []any{values{"namespace": "jupyter", "name": "hub", "hubs": []any{"main"}}},
	}, more)
}

// objects of a rendered chart.
type objects []*unstructured.Unstructured

func parse(t *testing.T, text string) objects {
	t.Helper()
	var found objects
	documents := policy.Documents([]byte(text))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		o := &unstructured.Unstructured{}
		require.NoError(t, yaml.UnmarshalStrict(document, &o.Object), "%s", document)
		if len(o.Object) > 0 {
			found = append(found, o)
		}
	}
}

// find gives the only object of a kind and name, and fails the test where there is none, or more.
func (objects objects) find(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			require.Nil(t, found, "%s %s is there twice", kind, name)
			found = o
		}
	}
	require.NotNil(t, found, "no %s %s", kind, name)
	return found
}

// as reads an object strictly.
func as[T any](t *testing.T, o *unstructured.Unstructured) *T {
	t.Helper()
	text, err := yaml.Marshal(o.Object)
	require.NoError(t, err)
	typed := new(T)
	require.NoError(t, yaml.UnmarshalStrict(text, typed), "%s %s", o.GetKind(), o.GetName())
	return typed
}
