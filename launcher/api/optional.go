package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// optional is a parameter of which it matters whether it is there.
type optional[T any] struct {
	v     T
	given bool
}

func (o *optional[T]) value() T { return o.v }

// Schema is part of huma.SchemaProvider.
func (optional[T]) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[T]())
}

// Receiver is part of huma.ParamWrapper.
func (o *optional[T]) Receiver() reflect.Value { return reflect.ValueOf(&o.v).Elem() }

// OnParamSet is part of huma.ParamReactor.
func (o *optional[T]) OnParamSet(isSet bool, _ any) { o.given = isSet }
