package expression

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/cel/mutation"
)

const (
	// maxWeight bounds a value that an expression makes: its items, those of its items, and so on, and its text in pieces of
	// textPiece bytes. CEL's costs count what is done and not what comes of it: a list of twice the same list costs no more than
	// two numbers, and thirty of them inside each other are a thousand million items.
	maxWeight = 10_000
	textPiece = 32
	// maxPatches bounds the operations of one JSONPatch.
	maxPatches = 256
)

var errTooLarge = types.NewErr("makes a value that is too large")

// weighed gives the value, or an error where it is too large.
func weighed(v ref.Val) ref.Val {
	if _, growing := v.(traits.MutableLister); growing { // of a comprehension, whose result is weighed
		return v
	}
	if left := maxWeight; !weigh(v, &left) {
		return errTooLarge
	}
	return v
}

// weigh takes the weight of a value from what is left, and stops where nothing is.
func weigh(v ref.Val, left *int) bool {
	*left--
	switch v := v.(type) {
	case types.String:
		*left -= len(v) / textPiece
	case types.Bytes:
		*left -= len(v) / textPiece
	case *types.Optional:
		return !v.HasValue() || weigh(v.GetValue(), left)
	case *mutation.JSONPatchVal:
		return v.Val == nil || weigh(v.Val, left)
	case traits.Lister:
		if size, ok := v.Size().(types.Int); !ok || int(size) > *left {
			return false
		}
		for it := v.Iterator(); it.HasNext() == types.True; {
			if !weigh(it.Next(), left) {
				return false
			}
		}
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			if !weigh(key, left) || !weigh(v.Get(key), left) {
				return false
			}
		}
	default:
		if m, ok := v.Value().(map[string]any); ok { // Object{…}, of which each value was weighed
			weighNative(m, left)
		}
	}
	return *left >= 0
}

func weighNative(v any, left *int) {
	*left--
	switch v := v.(type) {
	case string:
		*left -= len(v) / textPiece
	case []any:
		for i := 0; i < len(v) && *left >= 0; i++ {
			weighNative(v[i], left)
		}
	case map[string]any:
		for _, item := range v {
			if *left >= 0 {
				weighNative(item, left)
			}
		}
	}
}

// hugeNumber is text of a number whose exponent alone makes it take long to reckon with, or a precision of as many digits.
var hugeNumber = regexp.MustCompile(`[0-9.][eE][+-]?[0-9]{3,}`)

var widePrecision = regexp.MustCompile(`%\.[0-9]{3,}`)

// guards say of calls whose result could be far larger than their arguments, or take far longer, whether they may be made.
var guards = map[string]func(args []ref.Val) bool{
	"quantity":   plainNumber,
	"isQuantity": plainNumber,
	"format":     func(args []ref.Val) bool { return !widePrecision.MatchString(textOf(args[0])) && weighs(args[1]) },
	"lists.range": func(args []ref.Val) bool {
		n, ok := args[0].(types.Int)
		return !ok || n <= maxWeight
	},
	"join": func(args []ref.Val) bool {
		separator := 0
		if len(args) > 1 {
			separator = len(textOf(args[1]))
		}
		list, ok := args[0].(traits.Lister)
		if !ok {
			return true
		}
		size, ok := list.Size().(types.Int)
		return ok && weighs(list) && int(size)*separator <= maxWeight*textPiece
	},
	"replace": func(args []ref.Val) bool {
		return strings.Count(textOf(args[0]), textOf(args[1]))*len(textOf(args[2])) <= maxWeight*textPiece
	},
	"flatten": func(args []ref.Val) bool { return weighs(args[0]) },
}

func plainNumber(args []ref.Val) bool { return !hugeNumber.MatchString(textOf(args[0])) }

func weighs(v ref.Val) bool {
	left := maxWeight
	return weigh(v, &left)
}

func textOf(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

// guarded has each of these functions look at its arguments first. The overloads stay what they are.
func guarded(env *cel.Env) (*cel.Env, error) {
	var options []cel.EnvOption
	for name, allows := range guards {
		declared := env.Functions()[name]
		bindings, err := declared.Bindings()
		if err != nil {
			return nil, err
		}
		bound := map[string]*functions.Overload{}
		for _, b := range bindings {
			bound[b.Operator] = b
		}
		var overloads []cel.FunctionOpt
		for _, o := range declared.OverloadDecls() {
			if b := bound[o.ID()]; b != nil {
				overloads = append(overloads, guardedOverload(o, b, allows))
			}
		}
		if len(overloads) == 0 {
			return nil, fmt.Errorf("function %s has no overload to guard", name)
		}
		options = append(options, cel.Function(name, overloads...))
	}
	return env.Extend(options...)
}

func guardedOverload(o *decls.OverloadDecl, b *functions.Overload, allows func([]ref.Val) bool) cel.FunctionOpt {
	call := func(args ...ref.Val) ref.Val {
		switch {
		case !allows(args):
			return errTooLarge
		case len(args) == 1 && b.Unary != nil:
			return b.Unary(args[0])
		case len(args) == 2 && b.Binary != nil:
			return b.Binary(args[0], args[1])
		}
		return b.Function(args...)
	}
	var binding cel.OverloadOpt
	switch len(o.ArgTypes()) {
	case 1:
		binding = cel.UnaryBinding(func(a ref.Val) ref.Val { return call(a) })
	case 2:
		binding = cel.BinaryBinding(func(a, b ref.Val) ref.Val { return call(a, b) })
	default:
		binding = cel.FunctionBinding(call)
	}
	if o.IsMemberFunction() {
		return cel.MemberOverload(o.ID(), o.ArgTypes(), o.ResultType(), binding)
	}
	return cel.Overload(o.ID(), o.ArgTypes(), o.ResultType(), binding)
}
