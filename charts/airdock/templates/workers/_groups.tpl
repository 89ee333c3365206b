{{- /*
All worker groups as JSON, by name, each over workerDefaults, and its `tasks` over the top-level ones. Many templates ask, so they are
worked out once in a render and kept beside .Values and .Release, in the map that all templates of the chart share. What is kept is text:
nobody changes another's groups.
*/ -}}
{{- define "airdock.workers" -}}
{{- if not (hasKey . "airdockWorkers") }}{{ $_ := set . "airdockWorkers" (include "airdock.mergedWorkers" .) }}{{ end -}}
{{- .airdockWorkers -}}
{{- end }}

{{- define "airdock.mergedWorkers" -}}
{{- $groups := dict -}}
{{- range $name, $group := .Values.workers -}}
{{- if $group -}}
{{- $merged := include "airdock.merge" (dict "base" $.Values.workerDefaults "over" $group) | fromJson -}}
{{- /* A volume has one source: the group's takes the place of the default one, whatever its kind. */ -}}
{{- with ($group.dind | default dict).dataVolume }}{{ $_ := set $merged.dind "dataVolume" . }}{{ end -}}
{{- $_ := set $merged "tasks" (include "airdock.groupTasks" (dict "root" $ "own" (list $.Values.workerDefaults.tasks $group.tasks)) | fromJson) -}}
{{- $_ := set $merged "executor" ($merged.executor | default (splitList "," $.Values.executor | first)) -}}
{{- if eq $merged.executor "KubernetesExecutor" -}}
{{- $_ := set $merged "namespace" (include "airdock.executorNamespace" $) -}}
{{- $_ := set $merged "createNamespace" $.Values.kubernetesExecutor.createNamespace -}}
{{- end -}}
{{- $_ := set $groups $name $merged -}}
{{- end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end }}

{{- /* The worker groups of an executor, as airdock.workers has them. Call with (dict "root" $ "executor" "CeleryExecutor"). */ -}}
{{- define "airdock.workersOf" -}}
{{- $groups := dict -}}
{{- range $name, $group := include "airdock.workers" .root | fromJson -}}
{{- if eq $group.executor $.executor }}{{ $_ := set $groups $name $group }}{{ end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end }}

{{- /* "true" where tasks run by an executor. Call with (dict "root" $ "executor" "CeleryExecutor"). */ -}}
{{- define "airdock.runs" -}}
{{- if has .executor (splitList "," .root.Values.executor) }}true{{ end -}}
{{- end }}

{{- /*
"true" where a group serves something: "docker" (the Docker API), "kubernetes" (the Kubernetes operators), "gateway" (the Docker API by a
Docker gateway), and "clusterGateway" (one that makes pods). Call with (dict "group" $group "what" $what).
*/ -}}
{{- define "airdock.serves" -}}
{{- $pods := eq .group.mode "kubernetes" -}}
{{- $cluster := and $pods (eq true .group.dockerGateway.enabled) -}}
{{- $daemon := and (eq .group.mode "socket") (eq true .group.socket.filter) -}}
{{- if get (dict "docker" (or $cluster (not $pods)) "kubernetes" (and $pods (eq true .group.kubernetesOperators)) "gateway" (or $cluster $daemon) "clusterGateway" $cluster) .what }}true{{ end -}}
{{- end }}

{{- /* The strictest Pod Security level that admits a group's pods. */ -}}
{{- define "airdock.podSecurityLevel" -}}
{{- if eq .mode "kubernetes" -}}
restricted
{{- else if and (eq .mode "dind") (eq .dind.variant "sysbox") -}}
baseline
{{- else -}}
privileged
{{- end -}}
{{- end }}
