package expression

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apimachinery/pkg/api/resource"
)

// sortingAdapter makes maps that are walked through in the order of their keys. CEL's own go in Go's order, which differs
// from one time to the next, and so would what is made of it.
type sortingAdapter struct{ types.Adapter }

// NativeToValue gives the CEL value of a Go value.
func (a sortingAdapter) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case map[string]any:
		return sortedMap{types.NewStringInterfaceMap(a, v)}
	case map[string]string:
		return sortedMap{types.NewStringStringMap(a, v)}
	case map[ref.Val]ref.Val:
		return sortedMap{types.NewRefValMap(a, v)}
	case []any:
		return types.NewDynamicList(a, v)
	}
	return a.Adapter.NativeToValue(value)
}

func adapted(value any) ref.Val { return sortingAdapter{types.DefaultTypeAdapter}.NativeToValue(value) }

type sortedMap struct{ traits.Mapper }

// Iterator goes through the keys in order.
func (m sortedMap) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, m.keys()).Iterator()
}

// Fold goes through keys and values in the order of the keys.
func (m sortedMap) Fold(f traits.Folder) {
	for _, key := range m.keys() {
		if !f.FoldEntry(key, m.Get(key)) {
			return
		}
	}
}

func (m sortedMap) keys() []ref.Val {
	var keys []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, func(a, b ref.Val) int {
		if byType := cmp.Compare(a.Type().TypeName(), b.Type().TypeName()); byType != 0 {
			return byType
		}
		if c, ok := a.(traits.Comparer); ok {
			if order, ok := c.Compare(b).(types.Int); ok {
				return int(order)
			}
		}
		return cmp.Compare(fmt.Sprint(a.Value()), fmt.Sprint(b.Value()))
	})
	return keys
}

// sortResults does the same for maps that expressions make, which come from no adapter, and bounds all that they make.
func sortResults(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	switch node := i.(type) {
	case interpreter.InterpretableConst:
		if m, ok := node.Value().(traits.Mapper); ok {
			return interpreter.NewConstValue(node.ID(), inOrder(m)), nil
		}
		return i, nil
	case interpreter.InterpretableConstructor:
		return madeByConstructor{node}, nil
	case interpreter.InterpretableCall:
		return madeByCall{node}, nil
	case interpreter.InterpretableAttribute:
		return i, nil
	}
	return made{i}, nil
}

// made is a node whose result is sorted, if it is a map, and weighed. The others are too, and stay what CEL takes them for.
type made struct{ interpreter.InterpretableV2 }

// Exec gives the result.
func (n made) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return weighed(inOrder(n.InterpretableV2.Exec(frame)))
}

// Eval gives the result.
func (n made) Eval(a interpreter.Activation) ref.Val {
	return weighed(inOrder(n.InterpretableV2.Eval(a)))
}

type madeByConstructor struct {
	interpreter.InterpretableConstructor
}

// Exec gives the result.
func (n madeByConstructor) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return weighed(inOrder(n.InterpretableConstructor.Exec(frame)))
}

// Eval gives the result.
func (n madeByConstructor) Eval(a interpreter.Activation) ref.Val {
	return weighed(inOrder(n.InterpretableConstructor.Eval(a)))
}

type madeByCall struct{ interpreter.InterpretableCall }

// Exec gives the result.
func (n madeByCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return weighed(inOrder(n.InterpretableCall.Exec(frame)))
}

// Eval gives the result.
func (n madeByCall) Eval(a interpreter.Activation) ref.Val {
	return weighed(inOrder(n.InterpretableCall.Eval(a)))
}

func inOrder(v ref.Val) ref.Val {
	switch m := v.(type) {
	case sortedMap, traits.MutableMapper:
		return v
	case traits.Mapper:
		return sortedMap{m}
	}
	return v
}

// asJSON is a value as encoding/json has it, but with whole numbers as int64. Null, and optional.none(), are nil.
func asJSON(v ref.Val) (any, error) {
	switch v := v.(type) {
	case *types.Optional:
		if !v.HasValue() {
			return nil, nil //nolint:nilnil // nothing is what it says
		}
		return asJSON(v.GetValue())
	case types.Null:
		return nil, nil //nolint:nilnil // nothing is what it says
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		if v > types.Uint(1<<63-1) {
			return nil, fmt.Errorf("%d is too large a number", uint64(v))
		}
		return int64(v), nil
	case types.Double:
		return float64(v), nil
	case types.String:
		return string(v), nil
	case traits.Lister:
		return listAsJSON(v)
	case traits.Mapper:
		return mapAsJSON(v)
	}
	switch native := v.Value().(type) {
	case map[string]any: // Object{…}
		return native, nil
	case *resource.Quantity:
		return native.String(), nil
	}
	return nil, fmt.Errorf("gives a %s, which a setting can't hold", v.Type().TypeName())
}

func listAsJSON(l traits.Lister) (any, error) {
	list := []any{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		item, err := asJSON(it.Next())
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

func mapAsJSON(m traits.Mapper) (any, error) {
	out := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		text, ok := key.(types.String)
		if !ok {
			return nil, fmt.Errorf("has the key %v, and keys must be text", key.Value())
		}
		item, err := asJSON(m.Get(key))
		if err != nil {
			return nil, err
		}
		out[string(text)] = item
	}
	return out, nil
}
