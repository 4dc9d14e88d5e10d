package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

var (
	pods       = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	claims     = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// change is what an attempt does to the metadata; a nil value removes a key.
type change struct {
	labels, annotations map[string]any
}

// removes says whether a key goes away.
func (c change) removes() bool {
	for _, values := range []map[string]any{c.labels, c.annotations} {
		for _, v := range values {
			if v == nil {
				return true
			}
		}
	}
	return false
}

func (c change) mergePatch() map[string]any {
	metadata := map[string]any{}
	if c.labels != nil {
		metadata["labels"] = c.labels
	}
	if c.annotations != nil {
		metadata["annotations"] = c.annotations
	}
	return map[string]any{"metadata": metadata}
}

func (c change) jsonPatch() []map[string]any {
	var operations []map[string]any
	for field, values := range map[string]map[string]any{"labels": c.labels, "annotations": c.annotations} {
		for key, value := range values {
			op := map[string]any{"op": "add", "path": "/metadata/" + field + "/" + strings.ReplaceAll(key, "/", "~1"), "value": value}
			if value == nil {
				op["op"] = "remove"
			}
			operations = append(operations, op)
		}
	}
	return operations
}

// way makes a change to an object, through a subresource if one is given.
type way func(ctx context.Context, r dynamic.ResourceInterface, name string, c change, subresource ...string) error

// ways are all the ways to change an object's metadata.
var ways = map[string]way{
	"JSON patch": func(ctx context.Context, r dynamic.ResourceInterface, name string, c change, subresource ...string) error {
		return patch(ctx, r, name, types.JSONPatchType, c.jsonPatch(), subresource)
	},
	"merge patch": func(ctx context.Context, r dynamic.ResourceInterface, name string, c change, subresource ...string) error {
		return patch(ctx, r, name, types.MergePatchType, c.mergePatch(), subresource)
	},
	"strategic merge patch": func(ctx context.Context, r dynamic.ResourceInterface, name string, c change, subresource ...string) error {
		return patch(ctx, r, name, types.StrategicMergePatchType, c.mergePatch(), subresource)
	},
	apply: func(ctx context.Context, r dynamic.ResourceInterface, name string, c change, subresource ...string) error {
		old, err := r.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		object := c.mergePatch()
		object["apiVersion"], object["kind"] = old.GetAPIVersion(), old.GetKind()
		return patch(ctx, r, name, types.ApplyPatchType, object, subresource)
	},
	"update": update,
}

// apply can't remove what another manager wrote.
const apply = "server-side apply with force"

func patch(ctx context.Context, r dynamic.ResourceInterface, name string, kind types.PatchType, body any, subresource []string) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	o := metav1.PatchOptions{FieldManager: "attempt"}
	if kind == types.ApplyPatchType {
		o.Force = new(true)
	}
	_, err = r.Patch(ctx, name, kind, data, o, subresource...)
	return err
}

func update(ctx context.Context, r dynamic.ResourceInterface, name string, c change, subresource ...string) error {
	object, err := r.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	object.SetLabels(changed(object.GetLabels(), c.labels))
	object.SetAnnotations(changed(object.GetAnnotations(), c.annotations))
	_, err = r.Update(ctx, object, metav1.UpdateOptions{}, subresource...)
	return err
}

func changed(old map[string]string, values map[string]any) map[string]string {
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	for key, value := range values {
		if value == nil {
			delete(all, key)
			continue
		}
		all[key] = fmt.Sprint(value)
	}
	return all
}
