package policy

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// additions say what other webhooks may add to a fitted pod.
type additions struct {
	mode v1alpha1.AdditionsMode
	// names are the patterns of each policy whose mode is Listed: an addition must fit one of each.
	names [][]string
}

// additionsModes are all modes, strictest last.
var additionsModes = []v1alpha1.AdditionsMode{v1alpha1.AdditionsAllow, v1alpha1.AdditionsListed, v1alpha1.AdditionsDeny}

// additionsOf is the strictest word of the policies; where several list names, their intersection.
func additionsOf(policies []*compiledPolicy) additions {
	a := additions{mode: v1alpha1.AdditionsAllow}
	for _, p := range policies {
		own := p.spec.Additions
		if own == nil {
			continue
		}
		if slices.Index(additionsModes, own.Mode) > slices.Index(additionsModes, a.mode) {
			a.mode = own.Mode
		}
		if own.Mode == v1alpha1.AdditionsListed {
			a.names = append(a.names, own.Names)
		}
	}
	return a
}

// checkAdditions: the API server's schema says the same; files come without one.
func checkAdditions(a *v1alpha1.Additions, path *field.Path) field.ErrorList {
	if a == nil {
		return nil
	}
	var errs field.ErrorList
	if !slices.Contains(additionsModes, a.Mode) {
		errs = append(errs, field.NotSupported(path.Child("mode"), a.Mode, additionsModes))
	}
	if len(a.Names) > 0 && a.Mode != v1alpha1.AdditionsListed {
		errs = append(errs, field.Invalid(path.Child("names"), a.Names, "are for mode: Listed"))
	}
	return errs
}

// refuse gives a denial for each addition that isn't allowed.
func (a *additions) refuse(found []addition) []Denial {
	if a.mode == v1alpha1.AdditionsAllow {
		return nil
	}
	var denials []Denial
	for _, f := range found {
		if a.mode == v1alpha1.AdditionsListed && f.name != "" && a.lists(f.name) {
			continue
		}
		denials = append(denials, denyf(FieldChanged, nil, f.path,
			"was added after policy had fitted the pod, and additions: %s doesn't allow it: list its name in additions.names, or keep the webhook that adds it away from this pod", a.mode))
	}
	return denials
}

func (a *additions) lists(name string) bool {
	for _, patterns := range a.names {
		if !matchesAny(patterns, name) {
			return false
		}
	}
	return true
}
