{{- /* The page docs/reference/api.md. Names of the templates are those that crd-ref-docs calls. */ -}}

{{- define "gvList" -}}
<!-- Written by make generate. -->

# The API

`slipway.dev/v1alpha1`: a `SpawnPolicy` is for its namespace, a `ClusterSpawnPolicy` for the namespaces that it selects; both have
the same spec. No field has a default that the API server writes: what an absent or empty one means, its text says. What each setting of a
server comes to in the pod, and its built-in default, is in the [table of settings](../../policy/REFERENCE.md).

Where a type reads *as described*, the field holds any JSON for the API server, and the webhook checks it when the policy is
written: each item as strictly as the Kubernetes type that its text names in brackets.
{{ range . }}
{{- range .SortedTypes }}
{{- if ne .Name "" }}
- [{{ .Name }}](#{{ lower .Name }})
{{- end }}
{{- end }}
{{ range .SortedTypes }}
{{- if ne .Name "" }}
{{ template "type" . }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "type" -}}
{{- $type := . -}}
## {{ .Name }}

{{ .Doc }}
{{- with .References }}

Used by: {{ range $i, $r := $type.SortedReferences }}{{ if $i }}, {{ end }}[{{ .Name }}](#{{ lower .Name }}){{ end }}.
{{- end }}
{{- with index .Markers "kubebuilder:validation:XValidation" }}

Refused:
{{ range . }}
- {{ .Message }}
{{- end }}
{{- end }}
{{- if .Members }}

| field | type | | meaning | validation |
|---|---|---|---|---|
{{- if .GVK }}
| `apiVersion` | string | required | `{{ .GVK.Group }}/{{ .GVK.Version }}` | |
| `kind` | string | required | `{{ .GVK.Kind }}` | |
{{- end }}
{{- range .Members }}
{{- if or (ne $type.Name "Settings") (eq .Name "unset") }}
| `{{ .Name }}` | {{ template "type_members" . }} | {{ if or (has "Optional: {}" .Validation) (eq .Name "metadata") }}optional{{ else }}required{{ end }} | {{ if eq .Name "metadata" }}As in every object of Kubernetes.{{ else }}{{ markdownRenderFieldDoc (replace "\n" " " .Doc) }}{{ end }} | {{ range .Validation }}{{ if not (has . (list "Optional: {}" "Required: {}" "Schemaless: {}" "Type: string")) }}{{ markdownRenderFieldDoc . | replace "\\{" "{" | replace "\\}" "}" }} {{ end }}{{ end }}|
{{- end }}
{{- end }}
{{- if eq .Name "Settings" }}

And every field of [Server](#server).
{{- end }}
{{- end }}
{{- if and .Validation (not .Members) (not .EnumValues) }}

{{ range .Validation }}{{ . }}. {{ end }}
{{- end }}
{{- if .EnumValues }}

| value | meaning |
|---|---|
{{- range .EnumValues }}
| `{{ .Name }}` | {{ regexReplaceAll "^[A-Z][A-Za-z]+ " .Doc "" | trim | replace "\n" " " | markdownRenderFieldDoc }} |
{{- end }}
{{- end }}
{{ end -}}

{{- define "type_members" -}}
{{- if eq .Type.Name "JSON" }}*as described*{{ else }}{{ markdownRenderType .Type }}{{ end -}}
{{- end -}}
