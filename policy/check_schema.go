package policy

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// checkSchema are rules that the API server's schema holds too; files come without one.
func checkSchema(spec *v1alpha1.SpawnPolicySpec, path *field.Path) field.ErrorList {
	errs := slices.Concat(
		oneOf(spec.Skeleton, path.Child("skeleton"), v1alpha1.SkeletonStrict, v1alpha1.SkeletonStrip, v1alpha1.SkeletonKeep),
		oneOf(spec.Enforcement, path.Child("enforcement"), v1alpha1.Enforce, v1alpha1.Audit),
		oneOf(spec.AdoptClaims, path.Child("adoptClaims"), v1alpha1.AdoptNever, v1alpha1.AdoptUnlabelled),
		eachOnce(spec.Hubs, path.Child("hubs")),
		eachOnce(spec.Users, path.Child("users")),
		eachOnce(spec.Groups, path.Child("groups")),
		eachOnce(spec.HubEnv, path.Child("hubEnv")),
	)
	for i := range spec.Launchers {
		errs = append(errs, checkLauncherEntry(&spec.Launchers[i], path.Child("launchers").Index(i))...)
	}
	if m := spec.Metadata; m != nil {
		errs = append(errs, eachOnce(m.Allow, path.Child("metadata", "allow"))...)
		errs = append(errs, eachOnce(m.Deny, path.Child("metadata", "deny"))...)
	}
	if c := spec.Constraints; c != nil && c.Image != nil {
		errs = append(errs, eachOnce(c.Image.Allow, path.Child("constraints", "image", "allow"))...)
	}
	const most = 256
	if n := len(spec.Profiles); n > most {
		errs = append(errs, field.TooMany(path.Child("profiles"), n, most))
	}
	for i := range spec.Profiles {
		at := path.Child("profiles").Index(i)
		errs = append(errs, eachOnce(spec.Profiles[i].AllowedGroups, at.Child("allowedGroups"))...)
		errs = append(errs, eachOnce(spec.Profiles[i].AllowedUsers, at.Child("allowedUsers"))...)
	}
	return errs
}

func checkLauncherEntry(l *v1alpha1.Launcher, path *field.Path) field.ErrorList {
	errs := slices.Concat(
		eachOnce(l.Hubs, path.Child("hubs")), eachOnce(l.Users, path.Child("users")), eachOnce(l.MayAssertGroups, path.Child("mayAssertGroups")),
	)
	account := path.Child("serviceAccount")
	if l.ServiceAccount.Namespace == "" {
		errs = append(errs, field.Required(account.Child("namespace"), "the namespace of the account that creates the pods"))
	}
	if l.ServiceAccount.Name == "" {
		errs = append(errs, field.Required(account.Child("name"), "the account that creates the pods"))
	}
	return errs
}

// oneOf: empty is the default.
func oneOf[T ~string](word T, path *field.Path, words ...T) field.ErrorList {
	if word == "" || slices.Contains(words, word) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, word, words)}
}

func eachOnce(list []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, s := range list {
		if first := slices.Index(list, s); first < i {
			errs = append(errs, field.Invalid(path.Index(i), s, fmt.Sprintf("stands in %s already: take one out", path.Index(first))))
		}
	}
	return errs
}
