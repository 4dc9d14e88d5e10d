package policy

import (
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/expression"
)

// compiledCondition decides whether a policy is used.
type compiledCondition struct {
	path    *field.Path
	program *expression.Program
}

// compiledValidation denies the final pod when it is false.
type compiledValidation struct {
	path    *field.Path
	program *expression.Program
	// message is said where messageProgram is nil or gives no text.
	message        string
	messageProgram *expression.Program
}

// maxValidationMessage bounds what a messageExpression gives, in bytes, as for ValidatingAdmissionPolicy.
const maxValidationMessage = 5 * 1024

func (p *compiledPolicy) compileConditions(path *field.Path) {
	names := map[string]*field.Path{}
	for i := range p.spec.MatchConditions {
		m, at := &p.spec.MatchConditions[i], path.Index(i)
		if first := names[m.Name]; first != nil {
			p.errs = append(p.errs, field.Invalid(at.Child("name"), m.Name, "the same name as "+first.String()+": give one of them another"))
		}
		names[m.Name] = at
		program, err := expression.Compile(m.Expression, expression.Selecting, expression.Bool)
		if err != nil {
			p.errs = append(p.errs, field.Invalid(at.Child("expression"), m.Expression, err.Error()))
			continue
		}
		p.conditions = append(p.conditions, compiledCondition{at, program})
	}
}

func (p *compiledPolicy) compileValidations(path *field.Path) {
	for i := range p.spec.Validations {
		v, at := &p.spec.Validations[i], path.Index(i)
		c := compiledValidation{path: at, message: v.Message}
		if strings.TrimSpace(c.message) == "" {
			c.message = "failed expression: " + v.Expression
		}
		var err error
		if c.program, err = expression.Compile(v.Expression, expression.Fitted, expression.Bool); err != nil {
			p.errs = append(p.errs, field.Invalid(at.Child("expression"), v.Expression, err.Error()))
			continue
		}
		if v.MessageExpression != "" {
			if c.messageProgram, err = expression.Compile(v.MessageExpression, expression.Fitted, expression.Text); err != nil {
				p.errs = append(p.errs, field.Invalid(at.Child("messageExpression"), v.MessageExpression, err.Error()))
				continue
			}
		}
		p.validations = append(p.validations, c)
	}
}

// validate holds the pod against every policy's validations.
func (x *server) validate(pod *corev1.Pod) []Denial {
	var denials []Denial
	var object map[string]any
	for _, p := range x.policies {
		for i := range p.validations {
			if object == nil {
				var err error
				if object, err = asObject(pod); err != nil {
					return []Denial{denyf(ExpressionFailed, &p.ref, p.validations[i].path.String(), "%v", err)}
				}
				appendable(object)
			}
			if d := x.validateBy(p, &p.validations[i], object); d != nil {
				denials = append(denials, *d)
			}
		}
	}
	return denials
}

// isBreak: a message is one line.
func isBreak(r rune) bool {
	const lineSeparator, paragraphSeparator = '\u2028', '\u2029'
	return unicode.IsControl(r) || r == lineSeparator || r == paragraphSeparator
}

func (x *server) validateBy(p *compiledPolicy, v *compiledValidation, object map[string]any) *Denial {
	run := x.evaluation()
	valid, err := v.program.Bool(&run.variables, object, &run.budget)
	if err != nil {
		d := denyf(ExpressionFailed, &p.ref, v.path.Child("expression").String(), "%v", err)
		return &d
	}
	if valid {
		return nil
	}
	message := v.message
	if v.messageProgram != nil {
		text, err := v.messageProgram.Text(&run.variables, object, &run.budget)
		if err == nil && strings.TrimSpace(text) != "" && !strings.ContainsFunc(text, isBreak) && len(text) <= maxValidationMessage {
			message = text
		}
	}
	d := denyf(ValidationFailed, &p.ref, v.path.Child("expression").String(), "%s", message)
	return &d
}
