{{- /*
A release has three kinds of namespaces: the release namespace (helm install --namespace), worker-only namespaces
(workers.<name>.namespace, kubernetesExecutor.namespace) and task namespaces (tasks/_tasks.tpl).
*/ -}}

{{- /*
The name of a namespace that the chart creates. It contains the release's namespace and name: namespaces are cluster-scoped, and two releases
must not share one. Call with (dict "root" $ "suffix" "tasks").
*/ -}}
{{- define "airdock.namespaceName" -}}
{{- $release := eq .root.Release.Name .root.Release.Namespace | ternary .root.Release.Name (printf "%s-%s" .root.Release.Namespace .root.Release.Name) -}}
{{- $room := sub 62 (len .suffix) | int -}}
{{- gt (len $release) $room | ternary (printf "%s-%s-%s" (trunc (sub $room 9 | int) $release | trimSuffix "-") (sha256sum $release | trunc 8) .suffix) (printf "%s-%s" $release .suffix) -}}
{{- end }}

{{- /* The name of the release's task namespace, for groups that set no workers.<name>.tasks.namespace. */ -}}
{{- define "airdock.taskNamespace" -}}
{{- .Values.tasks.namespace | default (include "airdock.namespaceName" (dict "root" . "suffix" "tasks")) -}}
{{- end }}

{{- /* The worker-only namespace in which KubernetesExecutor creates its pods. */ -}}
{{- define "airdock.executorNamespace" -}}
{{- .Values.kubernetesExecutor.namespace | default (include "airdock.namespaceName" (dict "root" . "suffix" "executor")) -}}
{{- end }}

{{- /* The namespace of a worker group's pods. Call with (dict "root" $ "group" $group). */ -}}
{{- define "airdock.workerNamespace" -}}
{{- .group.namespace | default .root.Release.Namespace -}}
{{- end }}

{{- /* The namespaces with pods of worker groups, as a JSON list. Call with (dict "root" $ "podPerTask" false), as airdock.workersOf. */ -}}
{{- define "airdock.workerNamespaces" -}}
{{- $namespaces := list -}}
{{- range include "airdock.workersOf" . | fromJson }}{{ $namespaces = append $namespaces (include "airdock.workerNamespace" (dict "root" $.root "group" .)) }}{{ end -}}
{{- uniq $namespaces | sortAlpha | toJson -}}
{{- end }}

{{- /* All namespaces with Airflow's pods, as a JSON list: the release namespace if there are any in it, then the worker-only namespaces. */ -}}
{{- define "airdock.namespaces" -}}
{{- $persistent := include "airdock.workerNamespaces" (dict "root" . "podPerTask" false) | fromJsonArray -}}
{{- $podPerTask := include "airdock.workerNamespaces" (dict "root" . "podPerTask" true) | fromJsonArray -}}
{{- $ofWorkers := concat $persistent $podPerTask | uniq -}}
{{- $release := list .Release.Namespace -}}
{{- if not (or .Values.controlPlane.enabled (has .Release.Namespace $ofWorkers)) }}{{ $release = list }}{{ end -}}
{{- concat $release (without $ofWorkers .Release.Namespace) | toJson -}}
{{- end }}

{{- /* The worker-only namespaces, as a JSON list. */ -}}
{{- define "airdock.workerOnlyNamespaces" -}}
{{- without (include "airdock.namespaces" . | fromJsonArray) .Release.Namespace | toJson -}}
{{- end }}

{{- /* Those whose workers read Secrets of the release: the broker's and the log server's key. */ -}}
{{- define "airdock.secretReadingNamespaces" -}}
{{- without (include "airdock.workerNamespaces" (dict "root" . "podPerTask" false) | fromJsonArray) .Release.Namespace | toJson -}}
{{- end }}
