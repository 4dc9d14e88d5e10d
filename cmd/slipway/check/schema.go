package check

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// unknownFields are the paths below a type that a schema doesn't have, sorted. The API server drops such a field without a word when
// somebody writes it, so a policy would say less than its author wrote: this is what tells that a CRD is older than the program.
// A schema that keeps what it doesn't know has every field.
func unknownFields(of reflect.Type, schema *apiextensionsv1.JSONSchemaProps, path string) []string {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch {
	case schema == nil || keepsUnknown(schema), hasOwnForm(of):
		return nil
	case of.Kind() == reflect.Slice && schema.Items != nil:
		return unknownFields(of.Elem(), schema.Items.Schema, path+"[]")
	case of.Kind() == reflect.Map && schema.AdditionalProperties != nil:
		return unknownFields(of.Elem(), schema.AdditionalProperties.Schema, path+"{}")
	case of.Kind() != reflect.Struct:
		return nil
	}
	var unknown []string
	for name, field := range fieldsOf(of) {
		below, known := schema.Properties[name]
		if !known {
			unknown = append(unknown, strings.TrimPrefix(path+"."+name, "."))
			continue
		}
		unknown = append(unknown, unknownFields(field, &below, path+"."+name)...)
	}
	slices.Sort(unknown)
	return unknown
}

func keepsUnknown(schema *apiextensionsv1.JSONSchemaProps) bool {
	return schema.XPreserveUnknownFields != nil && *schema.XPreserveUnknownFields || schema.XEmbeddedResource
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// hasOwnForm: a quantity, a time and the like aren't written field by field.
func hasOwnForm(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(unmarshaler)
}

// fieldsOf are the fields of a struct by their names in JSON, those of inlined structs included.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case name != "":
			fields[name] = f.Type
		case f.Anonymous || strings.Contains(options, "inline"):
			inner := f.Type
			for inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			maps.Copy(fields, fieldsOf(inner))
		}
	}
	return fields
}
