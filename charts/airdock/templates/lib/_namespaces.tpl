{{- /*
A namespace that the release makes carries the release's namespace and name: it is cluster-scoped, and two releases must not share it.
Call with (dict "root" $ "suffix" "tasks").
*/ -}}
{{- define "airdock.namespaceName" -}}
{{- $release := eq .root.Release.Name .root.Release.Namespace | ternary .root.Release.Name (printf "%s-%s" .root.Release.Namespace .root.Release.Name) -}}
{{- $room := sub 62 (len .suffix) | int -}}
{{- gt (len $release) $room | ternary (printf "%s-%s-%s" (trunc (sub $room 9 | int) $release | trimSuffix "-") (sha256sum $release | trunc 8) .suffix) (printf "%s-%s" $release .suffix) -}}
{{- end }}

{{- define "airdock.taskNamespace" -}}
{{- .Values.tasks.namespace | default (include "airdock.namespaceName" (dict "root" . "suffix" "tasks")) -}}
{{- end }}

{{- /* Where KubernetesExecutor makes its pods. */ -}}
{{- define "airdock.executorNamespace" -}}
{{- .Values.kubernetesExecutor.namespace | default (include "airdock.namespaceName" (dict "root" . "suffix" "executor")) -}}
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

{{- /* Those of them with Celery workers, which read the broker's Secret and the log server's key. */ -}}
{{- define "airdock.otherCeleryHomes" -}}
{{- without (include "airdock.celeryNamespaces" . | fromJsonArray) .Release.Namespace | toJson -}}
{{- end }}
