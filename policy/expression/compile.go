// Package expression compiles and runs the CEL that policies hold: the dialect of Kubernetes' admission policies, with its
// libraries, its cost limits and its patchers. It is pure: the same expression and variables always give the same value.
package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	celcommon "github.com/google/cel-go/common"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"
)

// Scope says which variables an expression has.
type Scope int

const (
	// Selecting: user, server, hub, groups and namespaceObject.
	Selecting Scope = iota
	// Setting: also profile and options.
	Setting
	// Fitted: also object, the pod.
	Fitted
)

// names of the variables of a scope.
func (s Scope) names() []string {
	names := []string{varUser, varServer, varHub, varGroups, varNamespace}
	if s >= Setting {
		names = append(names, varProfile, varOptions)
	}
	if s >= Fitted {
		names = append(names, varObject)
	}
	return names
}

// dialect is the version of Kubernetes whose CEL this is; fixed, so that an upgrade of a library changes no policy's meaning.
var dialect = version.MajorMinor(1, 37)

// environments are made when the first expression is compiled: most policies have none.
var environments = sync.OnceValues(func() (map[Scope]*cel.Env, error) {
	envs := map[Scope]*cel.Env{}
	for _, scope := range []Scope{Selecting, Setting, Fitted} {
		env, err := newEnvironment(scope)
		if err != nil {
			return nil, fmt.Errorf("set up CEL: %w", err)
		}
		envs[scope] = env
	}
	return envs, nil
})

func newEnvironment(scope Scope) (*cel.Env, error) {
	declared := map[string]*apiservercel.DeclType{
		varUser: userType, varServer: serverType, varHub: hubType, varNamespace: namespaceType,
		varGroups: groupsType, varProfile: apiservercel.StringType, varOptions: textsType, varObject: apiservercel.DynType,
	}
	var variables []cel.EnvOption
	for _, name := range scope.names() {
		variables = append(variables, cel.Variable(name, declared[name].CelType()))
	}
	set, err := environment.MustBaseEnvSet(dialect).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions:        variables,
		DeclTypes:         []*apiservercel.DeclType{userType, serverType, hubType, namespaceType, metadataType},
	})
	if err != nil {
		return nil, err
	}
	set, err = set.Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			// As for MutatingAdmissionPolicy: Object{…}, JSONPatch{…} and jsonpatch.escapeKey().
			common.ResolverEnvOption(&mutation.DynamicTypeResolver{}), environment.UnversionedLib(library.JSONPatch),
		},
	})
	if err != nil {
		return nil, err
	}
	env, err := guarded(set.NewExpressionsEnv())
	if err != nil {
		return nil, err
	}
	return env.Extend(cel.CustomTypeAdapter(sortingAdapter{env.CELTypeAdapter()}))
}

// Program is a compiled expression. It may be used by many goroutines at once.
type Program struct {
	program cel.Program
}

// Result is the kind of value that an expression has to give.
type Result struct {
	// Words say it in an error: "text", "a whole number".
	Words string
	fits  func(*cel.Type) bool
}

// The kinds of values. Each is met by dyn too, whose value is looked at when the expression is run.
var (
	Bool     = Result{"true or false", kinds(types.BoolKind)}
	Text     = Result{"text", kinds(types.StringKind)}
	Whole    = Result{"a whole number", kinds(types.IntKind, types.UintKind)}
	Quantity = Result{"a quantity: text like '8Gi', a number, or quantity('8Gi')", func(t *cel.Type) bool {
		return kinds(types.StringKind, types.IntKind, types.UintKind, types.DoubleKind)(t) || t.IsExactType(apiservercel.QuantityType)
	}}
	List        = Result{"a list", kinds(types.ListKind)}
	Map         = Result{"a map or an object", kinds(types.MapKind, types.StructKind)}
	ListOrMap   = Result{"a list or a map", kinds(types.ListKind, types.MapKind, types.StructKind)}
	TextOrMap   = Result{"text, a map or an object", kinds(types.StringKind, types.MapKind, types.StructKind)}
	Anything    = Result{"a value", func(*cel.Type) bool { return true }}
	jsonPatches = Result{"a list of JSONPatch", func(t *cel.Type) bool {
		return t.IsExactType(cel.ListType(types.NewObjectType(mutation.JSONPatchTypeName)))
	}}
	applyObject = Result{"an Object{…}", func(t *cel.Type) bool { return t.IsExactType(types.NewObjectType(mutation.ObjectTypeName)) }}
)

func kinds(of ...types.Kind) func(*cel.Type) bool {
	return func(t *cel.Type) bool { return slices.Contains(of, t.Kind()) }
}

// Compile checks an expression's types and what it may cost at most. The error is one sentence, without the expression.
func Compile(text string, scope Scope, want Result) (*Program, error) {
	envs, err := environments()
	if err != nil {
		return nil, err
	}
	env := envs[scope]
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, errors.New(sentence(text, issues, scope))
	}
	if out := withoutOptional(ast.OutputType()); !fits(out, want) {
		return nil, fmt.Errorf("must give %s, and gives %s", want.Words, inWords(out))
	}
	if err := affordable(env, ast); err != nil {
		return nil, err
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.CustomDecoratorV2(sortResults))
	if err != nil {
		return nil, fmt.Errorf("can't be used: %w", err)
	}
	return &Program{program}, nil
}

func fits(t *cel.Type, want Result) bool {
	return t.Kind() == types.DynKind || t.Kind() == types.AnyKind || want.fits(t)
}

// withoutOptional: optional.none() says nothing, so an optional value is as good as the value.
func withoutOptional(t *cel.Type) *cel.Type {
	if t.TypeName() == "optional_type" && len(t.Parameters()) == 1 {
		return t.Parameters()[0]
	}
	return t
}

func inWords(t *cel.Type) string {
	switch t.Kind() {
	case types.NullTypeKind:
		return "null: to say nothing in some cases, give optional.of(…) or optional.none()"
	case types.ErrorKind:
		return "an error"
	}
	return t.String()
}

// sentence makes one of CEL's report of several lines, and tells what there is where something is missing.
func sentence(text string, issues *cel.Issues, scope Scope) string {
	var parts, hints []string
	for _, e := range issues.Errors() {
		message := strings.TrimSuffix(e.Message, " (in container '')")
		where := ""
		if e.Location.Line() > 0 {
			where = fmt.Sprintf("line %d, column %d: ", e.Location.Line(), e.Location.Column()+1)
		}
		parts = append(parts, where+strings.ReplaceAll(message, "\n", " "))
		if hint := hintAt(text, e, scope); hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	return "must be a CEL expression: " + strings.Join(append([]string{strings.Join(parts, "; ")}, hints...), ". ")
}

// hintAt says what to write instead, for what people write who come from Python; "" where CEL's message says it.
func hintAt(text string, e *cel.Error, scope Scope) string {
	message := e.Message
	switch {
	case strings.HasPrefix(message, "undeclared reference") && isCall(text, e.Location):
		return "CEL has no function of that name"
	case strings.HasPrefix(message, "undeclared reference"):
		return "The variables here are " + strings.Join(scope.names(), ", ")
	case strings.HasPrefix(message, "undefined field"):
		return "user has name, slug, id and annotations; server and hub have name; namespaceObject has metadata.name and metadata.labels"
	case strings.Contains(message, "'_?_:_'"):
		return "What stands before and after the : must be of one type; to say nothing in some cases, give optional.of(…) and optional.none()"
	case strings.HasPrefix(message, "expected type"):
		return "All values of a list or a map are of one type: dyn(…) around each lifts that"
	case strings.Contains(message, "'_+_'") && strings.Contains(message, "string"):
		return "string(…) makes text of a number"
	}
	return ""
}

// isCall: CEL points at the parenthesis where a function is missing, and at the name where a variable is.
func isCall(text string, at celcommon.Location) bool {
	lines := strings.Split(text, "\n")
	if at.Line() < 1 || at.Line() > len(lines) {
		return false
	}
	line := []rune(lines[at.Line()-1])
	return at.Column() >= 0 && at.Column() < len(line) && line[at.Column()] == '('
}
