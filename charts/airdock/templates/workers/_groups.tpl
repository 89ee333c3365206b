{{- /*
All worker groups as JSON, by name, each over workerDefaults, its `tasks` over the top-level ones, with the facts of its mode and executor
(_facts.tpl). Many templates ask, so they are
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
{{- $executor := include (printf "airdock.executor.%s.facts" $merged.executor) $ | fromYaml -}}
{{- range $key, $value := $executor.group }}{{ $_ := set $merged $key $value }}{{ end -}}
{{- $_ := set $merged "facts" (include (printf "airdock.mode.%s.facts" $merged.mode) (dict "root" $ "name" $name "group" $merged) | fromYaml) -}}
{{- $_ := set $merged "executorFacts" (omit $executor "group") -}}
{{- $_ := set $groups $name $merged -}}
{{- end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end }}

{{- /*
The worker groups of executors that create a pod for each task, or of those that do not, as airdock.workers has them. Call with
(dict "root" $ "podPerTask" false).
*/ -}}
{{- define "airdock.workersOf" -}}
{{- $groups := dict -}}
{{- range $name, $group := include "airdock.workers" .root | fromJson -}}
{{- if eq $group.executorFacts.podPerTask $.podPerTask }}{{ $_ := set $groups $name $group }}{{ end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end }}
