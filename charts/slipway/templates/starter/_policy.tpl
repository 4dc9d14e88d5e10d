{{/* The starter policy. What keeps servers within Pod Security restricted is enforced, so no namespace's policy undoes it. */}}
{{- define "slipway.starterPolicy" -}}
apiVersion: slipway.dev/v1alpha1
kind: ClusterSpawnPolicy
metadata:
  {{- include "slipway.metadata" (dict "root" . "name" "slipway-baseline" "component" "starter-policies") | nindent 2 }}
spec:
  namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson .Values.starterPolicies.namespaces }}}
  {{- with .Values.starterPolicies.hubs }}
  hubs: {{ toJson . }}
  {{- end }}
  {{- with include "slipway.launcherAccounts" . | fromYamlArray }}
  launchers:
    {{- range . }}
    - serviceAccount: {namespace: {{ .namespace | quote }}, name: {{ .name | quote }}}
      {{- with $.Values.starterPolicies.hubs }}
      hubs: {{ toJson . }}
      {{- end }}
      mayAssertGroups: ["*"]
    {{- end }}
  {{- end }}
  hubEnv: ["JUPYTERHUB_*", JPY_API_TOKEN]
  defaults:
    image: {{ .Values.starterPolicies.image | quote }}
    uid: 1000
    fsGid: 100
    memGuarantee: 1Gi
    memLimit: 2Gi
  enforced:
    privileged: false
    allowPrivilegeEscalation: false
    automountServiceAccountToken: false
    podSecurityContext:
      runAsNonRoot: true
      seccompProfile: {type: RuntimeDefault}
    containerSecurityContext:
      capabilities: {drop: [ALL]}
  constraints:
    podSecurity: restricted
{{- end }}
