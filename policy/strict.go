package policy

import (
	"bytes"
	"errors"
	"io"
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// DecodeInto reads the one document of a YAML or JSON file into a value, as strictly as Decode reads policies: an unknown or doubled
// field, a null and a value of another type are errors with their path, which is "" for what isn't YAML at all.
func DecodeInto(data []byte, into any) field.ErrorList {
	doc, err := onlyDocument(data)
	if err == nil {
		doc, err = yaml.YAMLToJSONStrict(doc)
	}
	if err != nil {
		return field.ErrorList{{Type: field.ErrorTypeInternal, Detail: notYAML(err)}}
	}
	t, err := asTree(doc)
	if err != nil {
		return field.ErrorList{{Type: field.ErrorTypeInternal, Detail: "must be a map of fields"}}
	}
	if errs := nulls(t, nil); len(errs) > 0 {
		for _, e := range errs {
			e.Detail = "null is no value here: leave the field out"
		}
		return errs
	}
	return decodeStrict(reflect.ValueOf(into).Elem(), t, nil)
}

// onlyDocument is the document of a file that holds one.
func onlyDocument(data []byte) ([]byte, error) {
	var only []byte
	for reader := Documents(data); ; {
		doc, err := reader.Read()
		switch {
		case errors.Is(err, io.EOF) && only == nil:
			return nil, errors.New("holds nothing")
		case errors.Is(err, io.EOF):
			return only, nil
		case err != nil:
			return nil, err
		case isBlank(doc):
		case only != nil:
			return nil, errors.New("holds several documents, and must hold one")
		default:
			only = bytes.Clone(doc)
		}
	}
}
