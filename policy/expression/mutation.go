package expression

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/traits"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/client-go/applyconfigurations"
)

// The patch types, as in MutatingAdmissionPolicy.
const (
	JSONPatch          = "JSONPatch"
	ApplyConfiguration = "ApplyConfiguration"
)

// Mutation changes a pod by the API server's own patchers. It may be used by many goroutines at once.
type Mutation struct {
	program    *Program
	newPatcher func(plugincel.MutatingEvaluator) patch.Patcher
	// converter is for ApplyConfiguration alone.
	converter managedfields.TypeConverter
}

// CompileMutation compiles the expression of a mutation. patchType must be JSONPatch or ApplyConfiguration. The error is as
// for Compile.
func CompileMutation(patchType, text string) (*Mutation, error) {
	want, m := jsonPatches, &Mutation{newPatcher: patch.NewJSONPatcher}
	if patchType == ApplyConfiguration {
		converter, err := podConverter()
		if err != nil {
			return nil, err
		}
		want, m.newPatcher, m.converter = applyObject, patch.NewApplyConfigurationPatcher, converter
	}
	program, err := Compile(text, Fitted, want)
	if err != nil {
		return nil, err
	}
	m.program = program
	return m, nil
}

// Apply gives the changed pod, as JSON has it, and leaves the given one as it is.
func (m *Mutation) Apply(v *Variables, pod map[string]any, budget *Budget) (map[string]any, error) {
	object := &unstructured.Unstructured{Object: pod}
	kind := corev1.SchemeGroupVersion.WithKind("Pod")
	resource := corev1.SchemeGroupVersion.WithResource("pods")
	attributes := admission.NewAttributesRecord(object, nil, kind, object.GetNamespace(), object.GetName(), resource, "", admission.Create, nil, false, nil)
	run := &evaluation{program: m.program, activation: activation{v, pod}, budget: budget}
	changed, err := m.newPatcher(run).Patch(context.Background(), patch.Request{
		MatchedResource:     resource,
		VersionedAttributes: &admission.VersionedAttributes{Attributes: attributes, VersionedKind: kind, VersionedObject: admission.NewLazyObject(object)},
		ObjectInterfaces:    podInterfaces,
		TypeConverter:       m.converter,
	}, maxRequest)
	if err != nil {
		return nil, errors.New(withMend(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	u, ok := changed.(*unstructured.Unstructured)
	if !ok {
		return nil, errors.New("the patched pod has an unexpected type")
	}
	return u.Object, nil
}

// withMend says what to do about an error of the patchers that says only what is wrong.
func withMend(message string) string {
	if strings.Contains(message, "may not mutate atomic") {
		message += ": change these with a JSONPatch, which replaces them as a whole"
	}
	return message
}

// evaluation runs an expression with our variables where the patchers would have it run with the API server's.
type evaluation struct {
	program    *Program
	activation activation
	budget     *Budget
}

// ForInput gives the patch.
func (e *evaluation) ForInput(
	context.Context, *admission.VersionedAttributes, *admissionv1.AdmissionRequest, plugincel.OptionalVariableBindings, *corev1.Namespace, int64,
) (plugincel.EvaluationResult, int64, error) {
	value, err := e.program.run(e.activation, e.budget)
	if list, ok := value.(traits.Lister); ok && err == nil {
		if n, ok := list.Size().(types.Int); !ok || n > maxPatches {
			err = fmt.Errorf("gives more than %d operations", maxPatches)
		}
	}
	return plugincel.EvaluationResult{EvalResult: value, Error: err}, 0, nil
}

// CompilationErrors are none: an expression that doesn't compile is never run.
func (e *evaluation) CompilationErrors() []error { return nil }

// A JSONPatch that copies a list into itself doubles it each time, and the library's own limit is none.
func init() { jsonpatch.AccumulatedCopySizeLimit = 1 << 20 }

// podScheme knows the kinds that mutations are for.
var podScheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	s.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Pod{})
	metav1.AddToGroupVersion(s, corev1.SchemeGroupVersion)
	return s
}()

var podInterfaces = admission.NewObjectInterfacesFromScheme(podScheme)

// podConverter knows which lists of a pod are merged by what; reading that takes a moment, so it is done once and when needed.
var podConverter = sync.OnceValues(func() (converter managedfields.TypeConverter, err error) {
	defer func() { // the library's way to report a bad schema
		if r := recover(); r != nil {
			err = fmt.Errorf("read the schema of pods: %v", r)
		}
	}()
	return applyconfigurations.NewTypeConverter(podScheme), nil
})
