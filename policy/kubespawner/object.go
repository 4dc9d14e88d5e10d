package kubespawner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Object is a map that keeps the order of its keys, as a Python dict does: the order of a profile's options and
// choices says which comes first on the page, and which is the default.
type Object []Member

// Member is one entry of an Object.
type Member struct {
	Key   string
	Value any
}

// Get gives the value of a key, and whether it is there at all.
func (o Object) Get(key string) (any, bool) {
	for _, m := range o {
		if m.Key == key {
			return m.Value, true
		}
	}
	return nil, false
}

// With gives o with one key set: in its place if it was there, else at the end. o itself stays as it was.
func (o Object) With(key string, value any) Object {
	out := slices.Clone(o)
	for i := range out {
		if out[i].Key == key {
			out[i].Value = value
			return out
		}
	}
	return append(out, Member{key, value})
}

// Without gives o without a key.
func (o Object) Without(key string) Object {
	return slices.DeleteFunc(slices.Clone(o), func(m Member) bool { return m.Key == key })
}

// Keys are the keys in their order.
func (o Object) Keys() []string {
	keys := make([]string, len(o))
	for i, m := range o {
		keys[i] = m.Key
	}
	return keys
}

// sorted gives the members by key, in the order of code points.
func (o Object) sorted() Object {
	out := slices.Clone(o)
	slices.SortStableFunc(out, func(a, b Member) int {
		switch {
		case a.Key < b.Key:
			return -1
		case a.Key > b.Key:
			return 1
		}
		return 0
	})
	return out
}

// MarshalJSON writes the keys in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := marshal(m.Key)
		if err != nil {
			return nil, err
		}
		value, err := marshal(m.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Key, err)
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal without its escaping of <, > and &, which makes shell snippets unreadable.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// UnmarshalJSON reads an object with the order of its keys, here and below.
func (o *Object) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := readJSON(d)
	if err != nil {
		return err
	}
	read, ok := v.(Object)
	if !ok {
		return fmt.Errorf("must be an object, not %s", describe(v))
	}
	*o = read
	return nil
}

func readJSON(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			return readJSONList(d)
		}
		return readJSONObject(d)
	case json.Number:
		return number(t)
	}
	return token, nil
}

func readJSONList(d *json.Decoder) (any, error) {
	list := []any{}
	for d.More() {
		v, err := readJSON(d)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func readJSONObject(d *json.Decoder) (any, error) {
	object := Object{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := readJSON(d)
		if err != nil {
			return nil, err
		}
		// As in Python, the first mention gives the place and the last one the value.
		object = object.With(key.(string), v)
	}
	if _, err := d.Token(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return object, nil
}

// number reads 2 as an int64 and 2.0 as a float64: traits tell the two apart.
func number(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i, nil
	}
	return n.Float64()
}

// ordered gives v with every map as an Object, every number as int64 or float64, and every list as []any. A Go map has no
// order, so its keys are sorted.
func ordered(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int64:
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is no number that JSON knows", v)
		}
		return v, nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case json.Number:
		return number(v)
	case map[string]any:
		o := make(Object, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			o = append(o, Member{k, v[k]})
		}
		return orderedObject(o)
	case Object:
		return orderedObject(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			var err error
			if out[i], err = ordered(item); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%T is no JSON value", v)
}

func orderedObject(o Object) (any, error) {
	out := make(Object, len(o))
	for i, m := range o {
		v, err := ordered(m.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Key, err)
		}
		out[i] = Member{m.Key, v}
	}
	return out, nil
}

// describe names a value's type as a user of YAML would, with the value where it is short.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		if len(v) > 40 {
			return "text"
		}
		return "the text " + strconv.Quote(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		return "a list"
	case Object:
		if name, ok := callable(v); ok {
			return "the Python function " + name
		}
		return "a map"
	}
	return fmt.Sprintf("%T", v)
}
