{{- /* The parts of the admission policies of task namespaces (fence.yaml). Call with (dict "root" $ "tasks" $tasks) unless noted. */ -}}

{{- /* The name of a policy and its binding. No other part of it contains a dot. */ -}}
{{- define "airdock.fencePart" -}}
{{- $name := printf "%s-%s" (include "airdock.fenceName" .root) .part -}}
{{- with include "airdock.otherTaskNamespace" . }}{{ $name = printf "%s.%s" $name . }}{{ end -}}
{{- $name -}}
{{- end }}

{{- define "airdock.fenceScope" -}}
validationActions: [Deny]
matchResources:
  namespaceSelector:
    matchLabels:
      airdock.dev/tasks: {{ include "airdock.tasksLabel" . | quote }}
{{- end }}

{{- define "airdock.fenceExemptions" -}}
{{- if or .exemptUsers .exemptGroups -}}
matchConditions:
  {{- with .exemptUsers }}
  - name: not-an-exempt-user
    expression: '!(request.userInfo.username in {{ toJson . }})'
  {{- end }}
  {{- with .exemptGroups }}
  - name: not-in-an-exempt-group
    expression: '!request.userInfo.groups.exists(g, g in {{ toJson . }})'
  {{- end }}
{{- end -}}
{{- end }}

{{- /* Call with (list $expressions $names): the entries of `variables` in the order of the names. */ -}}
{{- define "airdock.fenceVariables" -}}
{{- $expressions := index . 0 -}}
{{- range index . 1 }}
- name: {{ . }}
  expression: |
    {{- get $expressions . | trim | nindent 4 }}
{{- end }}
{{- end }}
