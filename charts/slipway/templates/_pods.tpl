{{/* By what the pods of .component are found; it never changes, since a Deployment's selector can't. */}}
{{- define "slipway.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The labels of the pods of .component, whose values are .values. */}}
{{- define "slipway.podLabels" -}}
{{- toYaml (merge (include "slipway.labels" .root | fromYaml) (dict "app.kubernetes.io/component" .component) .values.podLabels) }}
{{- end }}

{{/* An image; .root is the chart, .image its values. */}}
{{- define "slipway.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* What Pod Security restricted asks of a pod. The image's own numeric user runs it, since OpenShift wants to choose. */}}
{{- define "slipway.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "slipway.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Probes of /healthz and /readyz at the port health. Caches and the certificate are a matter of readiness alone: a restart brings neither sooner. */}}
{{- define "slipway.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 2
  failureThreshold: 150
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{/* Go's own limits, from those of the container with these .resources. Without a limit the field would give the node's. */}}
{{- define "slipway.goLimits" -}}
{{- with .resources.limits }}
{{- if .memory }}
- name: GOMEMLIMIT
  valueFrom: {resourceFieldRef: {resource: limits.memory}}
{{- end }}
{{- if .cpu }}
- name: GOMAXPROCS
  valueFrom: {resourceFieldRef: {resource: limits.cpu}}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the pods of .component run; .values are its values. */}}
{{- define "slipway.scheduling" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
{{- if .values.affinity }}
  {{- toYaml .values.affinity | nindent 2 }}
{{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "slipway.selector" . | nindent 14 }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    # Replicas that are being replaced don't count.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "slipway.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The disruption budget of the pods of .component. */}}
{{- define "slipway.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "slipway.metadata" (merge (dict "name" (printf "slipway-%s" .component) "namespace" .root.Release.Namespace) .) | nindent 2 }}
spec:
  maxUnavailable: {{ .values.podDisruptionBudget.maxUnavailable }}
  # A replica that isn't ready serves nobody, so it must not hold up a drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "slipway.selector" . | nindent 6 }}
{{- end }}

{{/* The network policy of the pods of .component, whose values are .values; .ingress is the rule for those who call it, perhaps empty. */}}
{{- define "slipway.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "slipway.metadata" (merge (dict "name" (printf "slipway-%s" .component) "namespace" .root.Release.Namespace) .) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "slipway.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- /* The kubelet, which probes, may always come. */}}
  ingress:
    {{- with .ingress }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with .values.networkPolicy.metricsFrom }}
    - ports: [{port: metrics, protocol: TCP}]
      from:
        {{- toYaml . | nindent 8 }}
    {{- end }}
  egress:
    {{- with .values.networkPolicy.apiServerPorts }}
    - ports:
        {{- range . }}
        - {port: {{ . }}, protocol: TCP}
        {{- end }}
    {{- end }}
    {{- with .values.networkPolicy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* The service account of .component. Its pods mount its token; no other pod that somebody runs by it does by itself. */}}
{{- define "slipway.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "slipway.metadata" (merge (dict "name" (printf "slipway-%s" .component) "namespace" .root.Release.Namespace) .) | nindent 2 }}
  {{- with .values.serviceAccountAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
