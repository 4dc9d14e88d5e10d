{{/* Values that don't go together; the schema sees each for itself. */}}
{{- define "slipway.checks" -}}
{{- if .Values.admission.guard }}
{{- range $name := list "mutate" "verify" }}
{{- $webhook := index $.Values.admission $name }}
{{- if ne $webhook.failurePolicy "Fail" }}
{{- fail (printf "admission.%s.failurePolicy must be Fail: the API server would refuse every hub's pod with another, as admission.guard says; set admission.guard: false if such pods may run ungoverned" $name) }}
{{- end }}
{{- $selector := $webhook.namespaceSelector }}
{{- if $selector.matchLabels }}
{{- include "slipway.badSelector" $name }}
{{- end }}
{{- range $selector.matchExpressions }}
{{- if or (ne .key "kubernetes.io/metadata.name") (ne .operator "NotIn") }}
{{- include "slipway.badSelector" $name }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.admission.mutate.objectSelector }}
{{- fail "admission.mutate.objectSelector must be empty: the API server would refuse every hub's pod with another, as admission.guard says; set admission.guard: false if such pods may run ungoverned" }}
{{- end }}
{{- end }}
{{- if and .Values.webhook.hostNetwork (eq (int .Values.webhook.port) 10250) }}
{{- fail "webhook.port must not be 10250 with webhook.hostNetwork: that is the kubelet's own port on each node; take another, such as 10260, and open it in the firewall between control plane and nodes" }}
{{- end }}
{{- if and .Values.webhook.hostNetwork .Values.webhook.networkPolicy.enabled }}
{{- fail "webhook.networkPolicy.enabled must be false with webhook.hostNetwork: a NetworkPolicy doesn't hold for pods at their node's own address" }}
{{- end }}
{{- with .Values.webhook.autoscaling }}
{{- if lt (int .maxReplicas) (int .minReplicas) }}
{{- fail "webhook.autoscaling.maxReplicas must not be less than minReplicas" }}
{{- end }}
{{- end }}
{{- $subjects := include "slipway.launcherSubjects" . }}
{{- if and $subjects (not .Values.launcher.clusterWide) (not .Values.launcher.namespaces) }}
{{- fail "launcher.namespaces must name the namespaces where servers run, or launcher.clusterWide be true: without either the launcher may start none" }}
{{- end }}
{{- if .Values.launcher.enabled }}
{{- if not .Values.launcher.accounts }}
{{- fail "launcher.accounts must name the service account of each hub that calls the launcher, as {namespace, name, hubs}: nobody else may" }}
{{- end }}
{{- if not (include "slipway.launcherSecret" .) }}
{{- fail "launcher.tls.secretName must name a Secret of type kubernetes.io/tls with the launcher's certificate, or certificates.mode be certManager, so that one is made" }}
{{- end }}
{{- end }}
{{- if and .Values.launcher.userNamespaces (not .Values.launcher.clusterWide) }}
{{- fail "launcher.userNamespaces needs launcher.clusterWide: true, since a server runs in a namespace that isn't there yet" }}
{{- end }}
{{- if and .Values.launcher.userNamespaces (not .Values.launcher.userNamespacePolicy) }}
{{- fail "launcher.userNamespacePolicy must name the ClusterSpawnPolicy by which launchers create namespaces: what that doesn't dictate, the API server refuses" }}
{{- end }}
{{- if and .Values.starterPolicies.enabled (not .Values.starterPolicies.namespaces) }}
{{- fail "starterPolicies.namespaces must name at least one namespace that the policy is for" }}
{{- end }}
{{- end }}

{{- define "slipway.badSelector" -}}
{{- fail (printf "admission.%s.namespaceSelector may leave namespaces out only by name, {key: kubernetes.io/metadata.name, operator: NotIn}: the API server would refuse every hub's pod with another, as admission.guard says; set admission.guard: false if such pods may run ungoverned" .) }}
{{- end }}
