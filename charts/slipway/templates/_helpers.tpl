{{/* The labels of every object of the chart. */}}
{{- define "slipway.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The accounts that launch servers, as YAML: launcherAccounts and the chart's own launcher. */}}
{{- define "slipway.launcherAccounts" -}}
{{- range .Values.launcherAccounts }}
- {namespace: {{ .namespace | quote }}, name: {{ .name | quote }}, bind: {{ .bind | default false }}}
{{- end }}
{{- if .Values.launcher.enabled }}
- {namespace: {{ .Release.Namespace | quote }}, name: slipway-launcher, bind: true}
{{- end }}
{{- end }}

{{/* Their user names, as a CEL list written as webhook.VerifyConfiguration does; the quoting of YAML, JSON and CEL is one. */}}
{{- define "slipway.launchers" -}}
{{- $names := list }}
{{- range include "slipway.launcherAccounts" . | fromYamlArray }}
{{- $names = append $names (printf "system:serviceaccount:%s:%s" .namespace .name | quote) }}
{{- end -}}
[{{ join ", " $names }}]
{{- end }}

{{/* The Secret with the launcher's certificate; empty where nobody makes one. */}}
{{- define "slipway.launcherSecret" -}}
{{- if .Values.launcher.tls.secretName -}}
{{ .Values.launcher.tls.secretName }}
{{- else if eq .Values.certificates.mode "certManager" -}}
slipway-launcher-cert-manager
{{- end }}
{{- end }}

{{/* The cert-manager Certificate called .name for the Service of that name, in the Secret .secret; .component may be missing. */}}
{{- define "slipway.certificate" -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  {{- include "slipway.metadata" (merge (dict "namespace" .root.Release.Namespace) .) | nindent 2 }}
spec:
  {{- with .root.Values.certificates.certManager }}
  secretName: {{ $.secret }}
  duration: {{ .duration }}
  renewBefore: {{ .renewBefore }}
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  usages: [digital signature, server auth]
  dnsNames:
    - {{ $.name }}.{{ $.root.Release.Namespace }}.svc
    - {{ $.name }}.{{ $.root.Release.Namespace }}.svc.cluster.local
    - {{ $.name }}.{{ $.root.Release.Namespace }}
  issuerRef:
    {{- if .issuerRef }}
    group: {{ .issuerRef.group | default "cert-manager.io" }}
    kind: {{ .issuerRef.kind | default "Issuer" }}
    name: {{ .issuerRef.name }}
    {{- else }}
    group: cert-manager.io
    kind: Issuer
    name: slipway-ca
    {{- end }}
  {{- end }}
{{- end }}

{{/* The placeholders of userNamespaceTemplate, as policy knows them; a test compares the two. */}}
{{- define "slipway.placeholders" -}}
escaped_servername escaped_user_server escaped_username hubnamespace safe_servername safe_user_server safe_username servername unescaped_servername unescaped_username user_server userid username
{{- end }}

{{/*
CEL for a regular expression of what policy gives for v, a value of userNamespaceLabels or userNamespaceAnnotations. The first replacement is for a
value that itself has what ends a quotation.
*/}}
{{- define "slipway.valuePattern" -}}
r'(?s)^\Q' + v.replace(r'\E', r'\E\\E\Q').replace('{hubnamespace}', variables.hubNamespace)
{{- range include "slipway.placeholders" . | splitList " " | concat (list "namespace" "pod_name" "pvc_name") }}
{{- $pattern := ternary "[a-z0-9.-]+" "[a-z0-9-]*" (has . (list "pod_name" "pvc_name")) }}
{{- $pattern = ternary ".*" (ternary "[0-9]+" $pattern (eq . "userid")) (hasPrefix "unescaped_" .) -}}
.replace('{ {{- . -}} }', r'\E{{ $pattern }}\Q')
{{- end }}.replace('{{ "{{" }}', '{').replace('{{ "}}" }}', '}') + r'\E$'
{{- end }}

{{/* The user name of companionAccount. */}}
{{- define "slipway.companion" -}}
system:serviceaccount:{{ .Values.companionAccount.namespace | default .Release.Namespace }}:{{ required "companionAccount needs a name" .Values.companionAccount.name }}
{{- end }}

{{/* The metadata of an object called .name; .root is the chart. Without .namespace it is one of the whole cluster; .component may be missing. */}}
{{- define "slipway.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "slipway.labels" .root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
{{- end }}

{{/* The binding that enforces the admission policy .name wherever its matchConstraints match. */}}
{{- define "slipway.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  {{- include "slipway.metadata" . | nindent 2 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
{{- end }}

{{/*
CEL variables: the keys of labels and of annotations that the request adds, changes or removes. A pod without labels has no
such field, and one error of CEL would refuse every pod of the cluster, so everything is optional. A key that was changed stands there twice.
*/}}
{{- define "slipway.changedMetadata" -}}
- name: labels
  expression: object.metadata.?labels.orValue({})
- name: oldLabels
  expression: "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})"
- name: changedLabels
  expression: >-
    (variables.labels.map(k, k) + variables.oldLabels.map(k, k))
    .filter(k, variables.labels[?k] != variables.oldLabels[?k])
- name: annotations
  expression: object.metadata.?annotations.orValue({})
- name: oldAnnotations
  expression: "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})"
- name: changedAnnotations
  expression: >-
    (variables.annotations.map(k, k) + variables.oldAnnotations.map(k, k))
    .filter(k, variables.annotations[?k] != variables.oldAnnotations[?k])
{{- end }}

{{/*
CEL variables: what is left of the webhook .webhook in the configuration that is the parameter, and which of its fields still
guard a pod in the request's namespace. .covers are the operations and resources that its rules must cover.
*/}}
{{- define "slipway.webhookChecks" -}}
- name: webhook
  expression: params.?webhooks.orValue([]).filter(w, w.name == {{ squote .webhook }})[?0].orValue({})
- name: selector
  expression: variables.webhook.?objectSelector.orValue({})
- name: namespaces
  expression: variables.webhook.?namespaceSelector.orValue({})
- name: checks
  expression: >-
    {
      'failurePolicy': variables.webhook.?failurePolicy.orValue('') == 'Fail',
      'rules': {{ .covers }}.all(need, variables.webhook.?rules.orValue([]).exists(r,
        r.?operations.orValue([]).exists(o, o in [need[0], '*']) &&
        r.?apiGroups.orValue([]).exists(g, g in ['', '*']) &&
        r.?apiVersions.orValue([]).exists(v, v in ['v1', '*']) &&
        r.?resources.orValue([]).exists(x, x in [need[1], 'pods/*', '*/*']) &&
        r.?scope.orValue('*') in ['Namespaced', '*'])),
      'objectSelector': variables.selector.?matchLabels.orValue({}).size() == 0 &&
        {{ .objectSelector }},
      'namespaceSelector': variables.namespaces.?matchLabels.orValue({}).size() == 0 &&
        variables.namespaces.?matchExpressions.orValue([]).all(e, e.key == 'kubernetes.io/metadata.name' &&
        e.operator == 'NotIn' && !(request.namespace in e.?values.orValue([]))),
      'matchConditions': {{ .matchConditions }}
    }
{{- end }}

{{/* The annotation by which cert-manager's cainjector puts the authorities into a webhook configuration; in the other mode the webhook does. */}}
{{- define "slipway.injectCA" }}
{{- if eq .Values.certificates.mode "certManager" }}
    cert-manager.io/inject-ca-from-secret: {{ .Release.Namespace }}/slipway-webhook-ca
{{- end }}
{{- end }}
