{{- /* Names and labels. Component suffixes take up to 27 characters, so the stem is cut at 32, with a hash where it was longer. */ -}}

{{- define "airdock.fullname" -}}
{{- $stem := .Values.fullnameOverride | default (include "airdock.stem" .) -}}
{{- if gt (len $stem) 32 -}}
{{- printf "%s-%s" (trunc 23 $stem | trimSuffix "-") (sha256sum $stem | trunc 8) -}}
{{- else -}}
{{- $stem -}}
{{- end -}}
{{- end }}

{{- define "airdock.stem" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- contains $chart .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $chart) -}}
{{- end }}

{{- /* A string as the value of a label: with a hash where it is too long. */ -}}
{{- define "airdock.labelValue" -}}
{{- gt (len .) 63 | ternary (printf "%s-%s" (trunc 54 . | trimAll "-._") (sha256sum . | trunc 8)) . -}}
{{- end }}

{{- /*
The value of the label airdock.dev/release, by which a namespace with workers of the release stays open to it when its last group has left
and still drains: <namespace>.<release>, with a hash where it is too long for a label.
*/ -}}
{{- define "airdock.releaseLabel" -}}
{{- printf "%s.%s" .Release.Namespace .Release.Name | include "airdock.labelValue" -}}
{{- end }}

{{- /* A Service of the release as pods of a namespace name it. Call with (dict "root" $ "namespace" $namespace "name" "redis"). */ -}}
{{- define "airdock.serviceHost" -}}
{{- $name := printf "%s-%s" (include "airdock.fullname" .root) .name -}}
{{- eq .namespace .root.Release.Namespace | ternary $name (printf "%s.%s.svc" $name .root.Release.Namespace) -}}
{{- end }}

{{- /* Labels that select a component's pods. Call with (dict "root" $ "component" "scheduler"). */ -}}
{{- define "airdock.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{- /* Labels of an object. Those of the chart's version stay off pods, so that a new chart restarts nothing. */ -}}
{{- define "airdock.labels" -}}
{{ include "airdock.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
app.kubernetes.io/version: {{ .root.Values.images.airflow.tag | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The metadata of an object. Call with (dict "root" $ "component" "scheduler" "name" "scheduler"). */ -}}
{{- define "airdock.metadata" -}}
name: {{ include "airdock.fullname" .root }}-{{ .name | default .component }}
namespace: {{ .namespace | default .root.Release.Namespace | quote }}
labels:
  {{- include "airdock.labels" . | nindent 2 }}
{{- end }}

{{- /* repository:tag, or repository@digest. Call with one of .Values.images. */ -}}
{{- define "airdock.image" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end }}
