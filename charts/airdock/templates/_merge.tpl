{{- /*
Lays one map over another and returns JSON: maps deep, lists replaced, null removes the key, and a user's false, 0 and "" win.
(Sprig's merge functions treat those as absent.) Call with (dict "base" $a "over" $b).
*/ -}}
{{- define "airdock.merge" -}}
{{- $result := deepCopy .base -}}
{{- range $key, $value := .over -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $result $key -}}
{{- else if kindIs "map" $value -}}
{{- $base := kindIs "map" (get $result $key) | ternary (get $result $key) dict -}}
{{- $_ := set $result $key (include "airdock.merge" (dict "base" $base "over" $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $result $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}

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

{{- /* One map of a list of maps, as JSON: a later map's keys replace an earlier one's whole, null removes; absent maps are skipped. */ -}}
{{- define "airdock.overlay" -}}
{{- $result := dict -}}
{{- range . -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $result $key }}{{ else }}{{ $_ := set $result $key $value }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}
