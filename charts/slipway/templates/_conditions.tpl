{{/*
The matchConditions of the verifying webhook up to the launchers' names, word for word those of webhook.VerifyConfiguration, where
it is said why they are as they are; a test compares the two.
*/}}
{{- define "slipway.governed" -}}
'slipway.dev/hub' in object.metadata.?labels.orValue({}) ||
'slipway.dev/applied' in object.metadata.?annotations.orValue({}) ||
(oldObject != null && ('slipway.dev/hub' in oldObject.metadata.?labels.orValue({}) ||
'slipway.dev/applied' in oldObject.metadata.?annotations.orValue({}))) ||
request.userInfo.username in
{{- end }}

{{- define "slipway.changesWhatIsGoverned" -}}
request.operation != 'UPDATE' || request.?subResource.orValue('') != '' ||
object.spec != oldObject.spec ||
object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({}) ||
object.metadata.?ownerReferences.orValue([]) != oldObject.metadata.?ownerReferences.orValue([]) ||
!object.metadata.?annotations.orValue({}).all(k,
  (k in oldObject.metadata.?annotations.orValue({}) && oldObject.metadata.annotations[k] == object.metadata.annotations[k]) ||
  !(k.startsWith('slipway.dev/') || k.startsWith('hub.jupyter.org/') ||
    oldObject.metadata.?annotations[?'slipway.dev/applied'].orValue('').contains('"' + k + '"'))) ||
!oldObject.metadata.?annotations.orValue({}).all(k,
  k in object.metadata.?annotations.orValue({}) ||
  !(k.startsWith('slipway.dev/') || k.startsWith('hub.jupyter.org/') ||
    oldObject.metadata.?annotations[?'slipway.dev/applied'].orValue('').contains('"' + k + '"')))
{{- end }}

{{/*
CEL that says whether the matchConditions of a webhook, which are ANDed, let no more pods by than those that the chart gave it:
fewer would guard more. .expressions are the chart's, .also is CEL of one more that c.expression may be, .name is what the chart's are called
in the configuration's annotation. An upgrade changes the configuration first and then the policy that guards it, each of which every API
server learns for itself. So conditions that came with a configuration of another name are another release's, or of other values, and good.
*/}}
{{- define "slipway.conditionsCheck" -}}
params.metadata.?annotations[?'slipway.dev/match-conditions'].orValue({{ squote .name }}) != {{ squote .name }} || variables.webhook.?matchConditions.orValue([]).all(c, c.expression in {{ toJson .expressions }}{{ with .also }} || {{ . }}{{ end }})
{{- end }}

{{- define "slipway.mutateConditionsCheck" -}}
{{- $expressions := list }}
{{- range .Values.admission.mutate.matchConditions }}{{ $expressions = append $expressions .expression }}{{ end }}
{{- include "slipway.conditionsCheck" (dict "expressions" $expressions "name" (include "slipway.mutateConditionsName" .)) }}
{{- end }}

{{- define "slipway.mutateConditionsName" -}}
{{- toJson .Values.admission.mutate.matchConditions | sha256sum | trunc 16 }}
{{- end }}

{{- define "slipway.verifyConditionsName" -}}
{{- list (include "slipway.governed" .) (include "slipway.changesWhatIsGoverned" .) .Values.admission.verify.matchConditions | toJson | sha256sum | trunc 16 }}
{{- end }}

{{/*
Whatever launchers the first condition names: pods with the label get by it in no case, and pods without it launchers don't create
(policy slipway-launchers). So servers start while an upgrade changes the list, first in one of the two, then in the other. The CEL
variable governed is that condition without the names.
*/}}
{{- define "slipway.verifyConditionsCheck" -}}
{{- $expressions := list (include "slipway.changesWhatIsGoverned" .) }}
{{- range .Values.admission.verify.matchConditions }}{{ $expressions = append $expressions .expression }}{{ end }}
{{- $also := `c.expression.startsWith(variables.governed) && c.expression.substring(variables.governed.size()).matches('^\\[("[a-z0-9:.-]+"(, )?)*\\]$')` }}
{{- include "slipway.conditionsCheck" (dict "expressions" $expressions "also" $also "name" (include "slipway.verifyConditionsName" .)) }}
{{- end }}
