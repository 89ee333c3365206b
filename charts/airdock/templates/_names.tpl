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

{{- define "airdock.taskNamespace" -}}
{{- .Values.tasks.namespace | default (include "airdock.namespaceName" (dict "root" . "suffix" "tasks")) -}}
{{- end }}

{{- /* Where KubernetesExecutor makes its pods. */ -}}
{{- define "airdock.executorNamespace" -}}
{{- .Values.kubernetesExecutor.namespace | default (include "airdock.namespaceName" (dict "root" . "suffix" "executor")) -}}
{{- end }}

{{- /*
A namespace that the release makes carries the release's namespace and name: it is cluster-scoped, and two releases must not share it.
Call with (dict "root" $ "suffix" "tasks").
*/ -}}
{{- define "airdock.namespaceName" -}}
{{- $release := eq .root.Release.Name .root.Release.Namespace | ternary .root.Release.Name (printf "%s-%s" .root.Release.Namespace .root.Release.Name) -}}
{{- $room := sub 62 (len .suffix) | int -}}
{{- gt (len $release) $room | ternary (printf "%s-%s-%s" (trunc (sub $room 9 | int) $release | trimSuffix "-") (sha256sum $release | trunc 8) .suffix) (printf "%s-%s" $release .suffix) -}}
{{- end }}

{{- /* The namespace of a worker group's pods. Call with (dict "root" $ "group" $group). */ -}}
{{- define "airdock.workerNamespace" -}}
{{- .group.namespace | default .root.Release.Namespace -}}
{{- end }}

{{- /* The namespaces with pods of an executor's worker groups, as a JSON list. Call with (dict "root" $ "executor" "CeleryExecutor"). */ -}}
{{- define "airdock.workerNamespaces" -}}
{{- $namespaces := list -}}
{{- range include "airdock.workersOf" . | fromJson }}{{ $namespaces = append $namespaces (include "airdock.workerNamespace" (dict "root" $.root "group" .)) }}{{ end -}}
{{- uniq $namespaces | sortAlpha | toJson -}}
{{- end }}

{{- /* The namespaces with pods of the release as a JSON list: its own first, then those of worker groups elsewhere. */ -}}
{{- define "airdock.homes" -}}
{{- $homes := concat (include "airdock.celeryNamespaces" . | fromJsonArray) (include "airdock.executorNamespaces" . | fromJsonArray) | uniq -}}
{{- $own := list .Release.Namespace -}}
{{- if not (or .Values.controlPlane.enabled (has .Release.Namespace $homes)) }}{{ $own = list }}{{ end -}}
{{- concat $own (without $homes .Release.Namespace) | toJson -}}
{{- end }}

{{- define "airdock.celeryNamespaces" -}}
{{- include "airdock.workerNamespaces" (dict "root" . "executor" "CeleryExecutor") -}}
{{- end }}

{{- define "airdock.executorNamespaces" -}}
{{- include "airdock.workerNamespaces" (dict "root" . "executor" "KubernetesExecutor") -}}
{{- end }}

{{- /* The release's namespaces but its own, as a JSON list. */ -}}
{{- define "airdock.otherHomes" -}}
{{- without (include "airdock.homes" . | fromJsonArray) .Release.Namespace | toJson -}}
{{- end }}

{{- /*
The value of the label airdock.dev/release, by which a namespace with workers of the release stays open to it when its last group has left
and still drains: <namespace>.<release>, with a hash where it is too long for a label.
*/ -}}
{{- define "airdock.releaseLabel" -}}
{{- printf "%s.%s" .Release.Namespace .Release.Name | include "airdock.labelValue" -}}
{{- end }}

{{- /* A string as the value of a label: with a hash where it is too long. */ -}}
{{- define "airdock.labelValue" -}}
{{- gt (len .) 63 | ternary (printf "%s-%s" (trunc 54 . | trimAll "-._") (sha256sum . | trunc 8)) . -}}
{{- end }}

{{- /* Those of them with Celery workers, which read the broker's Secret and the log server's key. */ -}}
{{- define "airdock.otherCeleryHomes" -}}
{{- without (include "airdock.celeryNamespaces" . | fromJsonArray) .Release.Namespace | toJson -}}
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
