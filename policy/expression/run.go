package expression

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// run evaluates the expression and takes what it cost from the budget.
func (p *Program) run(a activation, budget *Budget) (ref.Val, error) {
	if budget.spent > maxRequest {
		return nil, errTooDear
	}
	value, details, err := p.program.Eval(a)
	if details != nil {
		if cost := details.ActualCost(); cost != nil {
			budget.spent += *cost
		}
	}
	switch {
	case err != nil && strings.Contains(err.Error(), "cost limit exceeded"):
		return nil, errTooDear
	case err != nil:
		return nil, errors.New(plain(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	return value, nil
}

// plain says in words what CEL says in its types; "no such key: uid" and the like stay.
func plain(message string) string {
	if kind, ok := strings.CutPrefix(message, "type conversion error from 'string' to '"); ok {
		return strings.TrimSuffix(kind, "'") + "() can't read the text that it was given"
	}
	return message
}

// Value gives the value as JSON has it, whole numbers as int64. nil: the expression gave null or optional.none(), so it says
// nothing. object is the fitted pod as JSON has it; nil outside of scope Fitted.
func (p *Program) Value(v *Variables, object map[string]any, budget *Budget) (any, error) {
	value, err := p.run(activation{v, object}, budget)
	if err != nil {
		return nil, err
	}
	return asJSON(value)
}

// Bool gives the value of an expression that was compiled for Bool. object is as for Value.
func (p *Program) Bool(v *Variables, object map[string]any, budget *Budget) (bool, error) {
	value, err := p.run(activation{v, object}, budget)
	if err != nil {
		return false, err
	}
	b, ok := value.(types.Bool)
	if !ok {
		return false, fmt.Errorf("must give true or false, and gave a %s", value.Type().TypeName())
	}
	return bool(b), nil
}

// Text gives the value of an expression that was compiled for Text. object is as for Value.
func (p *Program) Text(v *Variables, object map[string]any, budget *Budget) (string, error) {
	value, err := p.run(activation{v, object}, budget)
	if err != nil {
		return "", err
	}
	s, ok := value.(types.String)
	if !ok {
		return "", fmt.Errorf("must give text, and gave a %s", value.Type().TypeName())
	}
	return string(s), nil
}
