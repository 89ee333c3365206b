{{- /* The namespaces with pods of a component, as a JSON list. Call with (dict "root" $ "component" "worker"). */ -}}
{{- define "airdock.namespacesOf" -}}
{{- $namespaces := list .root.Release.Namespace | toJson -}}
{{- range include "airdock.executors" .root | fromJson -}}
{{- if eq .component $.component }}{{ $namespaces = include "airdock.workerNamespaces" (dict "root" $.root "podPerTask" .podPerTask) }}{{ end -}}
{{- end -}}
{{- $namespaces -}}
{{- end }}

{{- /*
The pods of a component as peers in a policy of a namespace. Workers are also selected by the label of their namespace: they may still drain
after their group has left it.
Call with (dict "root" $ "component" "worker" "namespace" $namespace).
*/ -}}
{{- define "airdock.peers" -}}
{{- range include "airdock.namespacesOf" . | fromJsonArray }}
- podSelector:
    matchLabels:
      {{- include "airdock.selectorLabels" $ | nindent 6 }}
  {{- if ne . $.namespace }}
  namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- if eq .component "worker" }}
- podSelector:
    matchLabels:
      {{- include "airdock.selectorLabels" . | nindent 6 }}
  namespaceSelector:
    matchLabels:
      airdock.dev/release: {{ include "airdock.releaseLabel" .root | quote }}
{{- end }}
{{- end }}
