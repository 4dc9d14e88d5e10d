package policy

import (
	"reflect"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// farExponent is a quantity whose exponent alone makes it take seconds, or hours, to compare with another.
var farExponent = regexp.MustCompile(`[0-9.][eE][+-]?[0-9]{3,}`)

const tooFar = "has too large an exponent: write it with a suffix, such as 500m or 8Gi"

func isFar(q *resource.Quantity) bool { return farExponent.MatchString(q.String()) }

// farQuantities finds such quantities in a value that was decoded from this JSON.
func farQuantities(data []byte, v reflect.Value, path *field.Path) field.ErrorList {
	if !farExponent.Match(data) {
		return nil
	}
	var errs field.ErrorList
	walkQuantities(v, path, func(q *resource.Quantity, at *field.Path) {
		if isFar(q) {
			errs = append(errs, field.Invalid(at, q.String(), tooFar))
		}
	})
	return errs
}

func walkQuantities(v reflect.Value, path *field.Path, visit func(*resource.Quantity, *field.Path)) {
	if q, ok := reflect.TypeAssert[resource.Quantity](v); ok {
		visit(&q, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walkQuantities(v.Elem(), path, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkQuantities(v.Index(i), path.Index(i), visit)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walkQuantities(it.Value(), path.Key(it.Key().String()), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f, at := v.Type().Field(i), path
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				at = path.Child(name)
			}
			if f.IsExported() {
				walkQuantities(v.Field(i), at, visit)
			}
		}
	default:
	}
}

// farIn finds such quantities among what the containers of a pod have and want.
func farIn(pod *corev1.Pod) []Denial {
	var denials []Denial
	forEachContainer(pod, func(path string, c *corev1.Container) {
		for _, list := range []struct {
			name string
			of   corev1.ResourceList
		}{{"limits", c.Resources.Limits}, {"requests", c.Resources.Requests}} {
			for name, q := range list.of {
				if isFar(&q) {
					denials = append(denials, denyf(ConstraintViolated, nil, path+".resources."+list.name+"["+string(name)+"]", "%s", tooFar))
				}
			}
		}
	})
	return denials
}
