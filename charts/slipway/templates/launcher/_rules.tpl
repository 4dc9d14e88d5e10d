{{/* Who launches by the rights of this chart, as the subjects of a binding; empty: nobody. */}}
{{- define "slipway.launcherSubjects" -}}
{{- range include "slipway.launcherAccounts" . | fromYamlArray }}
{{- if .bind }}
- {kind: ServiceAccount, name: {{ .name | quote }}, namespace: {{ .namespace | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* All that a launcher may do where servers run. */}}
{{- define "slipway.launcherRules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs:
    - create # to start a server
    - get # to replace or adopt one of the same name
    - list # to find servers again after its own restart
    - watch # to tell how far a server is
    - delete # to stop it
# Nothing but create: whoever may read or patch a Secret reads its values, and an env Secret is made anew for each start.
- apiGroups: [""]
  resources: [secrets]
  verbs:
    - create # to pass on the environment that the hub gives a server
# Those where it has the right, each by its name: a policy is for a server by the labels of its namespace.
- apiGroups: [""]
  resources: [namespaces]
  verbs:
    - get # to show the profiles of the policies there
# What a server can be started with.
- apiGroups: [slipway.dev]
  resources: [spawnpolicies]
  verbs:
    - list # to show them all
    - watch # to keep them current
# Why a server doesn't start.
- apiGroups: [""]
  resources: [events]
  verbs:
    - list # to tell what has happened to it so far
    - watch # to tell what happens
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs:
    - get # to say which of its claims it waits for
    - list # to show a user's
- apiGroups: [""]
  resources: [resourcequotas]
  verbs:
    - list # to say which quota is used up
{{- if .Values.launcher.deleteClaims }}
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs:
    - patch # to ask for one to be deleted; the policy slipway-launcher-claims lets it say nothing else
{{- end }}
{{- if .Values.launcher.podLogs }}
- apiGroups: [""]
  resources: [pods/log]
  verbs:
    - get # to show why a server ended
{{- end }}
{{- end }}
