{{/* The annotations of a hook that runs after install and upgrade, with a weight; what succeeded goes away. */}}
{{- define "slipway.starterHook" }}
  annotations:
    helm.sh/hook: post-install,post-upgrade
    helm.sh/hook-weight: {{ . | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* The spec of a pod that runs a subcommand of the webhook's program once, by the service account .name, as far as its container. */}}
{{- define "slipway.hookPod" -}}
{{- $webhook := .root.Values.webhook -}}
restartPolicy: Never
serviceAccountName: {{ .name }}
automountServiceAccountToken: true
enableServiceLinks: false
securityContext:
  {{- include "slipway.podSecurityContext" .root | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $webhook.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $webhook.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: slipway
    image: {{ include "slipway.image" (dict "root" .root "image" $webhook.image) }}
    imagePullPolicy: {{ $webhook.image.pullPolicy }}
    args: {{ toJson .args }}
    resources:
      requests: {cpu: 10m, memory: 32Mi}
      limits: {memory: 128Mi}
    securityContext:
      {{- include "slipway.containerSecurityContext" .root | nindent 6 }}
{{- end }}

{{/* The annotations of an object of `helm test`, with a weight. A pod that failed stays, for `helm test --logs`. */}}
{{- define "slipway.testHook" }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-weight: {{ . | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
