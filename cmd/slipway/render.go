package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/cmd/terminal"
	"github.com/slipway-hub/slipway/policy"
)

func newRender(io streams) *cobra.Command {
	var server serverFlags
	var input inputFlags
	var output string
	cmd := &cobra.Command{
		Use:   "render --user NAME [-f POLICIES]...",
		Short: "Print the fitted pod of a server, and its claim",
		Long: `Prints what the cluster would make of a bare skeleton: a v1 List with the fitted pod, and its home claim where policy asks for one.
Without --namespace it is the one where policy has the server; a user's own is printed too. With -f nothing but the files is read.`,
		Example: `  slipway render -f policies/ --namespace data101 --user alice
  slipway render -f policies/ --user alice --group staff --profile gpu --option image=pytorch -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server.complete(cmd, len(input.files) == 0)
			encode, err := encoder(output)
			if err != nil {
				return invalid(err)
			}
			return render(cmd.Context(), &server, &input, encode, io)
		},
	}
	server.register(cmd)
	input.register(cmd)
	formatFlag(cmd, &output, "yaml", "json")
	return cmd
}

func render(ctx context.Context, server *serverFlags, input *inputFlags, encode func(any) ([]byte, error), io streams) error {
	r, err := newRequest(ctx, server, input, io.in)
	if err != nil {
		return err
	}
	warn(io.err, r.warnings)
	result, err := r.apply()
	if result != nil {
		warn(io.err, result.AllWarnings())
	}
	if err != nil {
		return err
	}
	list, err := listOf(result, r.input.Namespace.Name, r.own)
	if err != nil {
		return failed(err)
	}
	if err := writeEncoded(io.out, encode, list); err != nil {
		return failed(fmt.Errorf("write the result: %w", err))
	}
	return nil
}

// writeEncoded writes an object in a format.
func writeEncoded(w io.Writer, encode func(any) ([]byte, error), v any) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// encoder is the function that writes an object in a format.
func encoder(format string) (func(any) ([]byte, error), error) {
	switch format {
	case "yaml":
		return yaml.Marshal, nil
	case "json":
		return encodeJSON, nil
	}
	return nil, fmt.Errorf("--output %q: the formats are yaml and json", format)
}

func encodeJSON(v any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // a shell's && stays readable
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return text.Bytes(), err
}

// listOf is the pod, its home claim and its other claims, and the user's own namespace where the server has one, as a v1 List. The
// pod comes first: scripts rely on it.
func listOf(result *policy.Result, namespace string, own policy.UserNamespace) (map[string]any, error) {
	pod := result.Pod.DeepCopy()
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	pod.Namespace = namespace
	objects := []runtime.Object{pod}
	claims := result.MoreClaims
	if result.Claim != nil {
		claims = slices.Concat([]*corev1.PersistentVolumeClaim{result.Claim}, claims)
	}
	for _, c := range claims {
		claim := c.DeepCopy()
		claim.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
		claim.Namespace = namespace
		objects = append(objects, claim)
	}
	if own.Create {
		objects = append(objects, &corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: own.Name, Labels: own.Labels, Annotations: own.Annotations},
		})
	}
	items := make([]any, len(objects))
	for i, o := range objects {
		item, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return nil, fmt.Errorf("encode the result: %w", err)
		}
		delete(item, "status") // nothing has run yet
		if _, isNamespace := o.(*corev1.Namespace); isNamespace {
			delete(item, "spec")
		}
		items[i] = item
	}
	return map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, nil
}

// warn writes what the cluster would send to the caller as warnings.
func warn(w io.Writer, warnings []string) {
	for _, text := range warnings {
		fmt.Fprintln(w, terminal.For(w).Yellow("warning: "+text))
	}
}
