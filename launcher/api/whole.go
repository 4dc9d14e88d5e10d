package api

import (
	"encoding/json"
	"fmt"
	"math"
)

// whole is a number that JSON may write as 90 or as 90.0: both are integers for a schema, and for huma.
type whole int64

// UnmarshalJSON is part of json.Unmarshaler.
func (w *whole) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if err := json.Unmarshal(text, (*int64)(w)); err == nil {
		return nil
	}
	var number float64
	if err := json.Unmarshal(text, &number); err != nil || number != math.Trunc(number) || math.Abs(number) > 1<<53 {
		return fmt.Errorf("%s is no whole number of 64 bits", text)
	}
	*w = whole(number)
	return nil
}
