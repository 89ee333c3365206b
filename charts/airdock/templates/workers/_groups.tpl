{{- /*
All worker groups as JSON, by name: each one merged over podDefaults and workerDefaults, its `tasks` merged over the top-level ones, with the facts of its mode
and executor (_facts.tpl). Many templates use them, so they are computed once per render and stored beside .Values and .Release, in the map
that all templates of the chart share. They are stored as text, so no template can change another one's groups.
*/ -}}
{{- define "airdock.workers" -}}
{{- if not (hasKey . "airdockWorkers") }}{{ $_ := set . "airdockWorkers" (include "airdock.mergedWorkers" .) }}{{ end -}}
{{- .airdockWorkers -}}
{{- end }}

{{- define "airdock.mergedWorkers" -}}
{{- $groups := dict -}}
{{- range $name, $group := .Values.workers -}}
{{- if $group -}}
{{- $merged := include "airdock.mergePods" (list $.Values.podDefaults $.Values.workerDefaults $group) | fromJson -}}
{{- /* A volume has one source: the group's replaces the default one, whatever its kind. */ -}}
{{- with ($group.dind | default dict).dataVolume }}{{ $_ := set $merged.dind "dataVolume" . }}{{ end -}}
{{- $_ := set $merged "tasks" (include "airdock.groupTasks" (dict "root" $ "own" (list $.Values.workerDefaults.tasks $group.tasks)) | fromJson) -}}
{{- range $block := list $merged $merged.tasks -}}
{{- $_ := set $block "podAnnotations" (include "airdock.overlay" (list (include "airdock.nodeAnnotations" $block | fromJson) $block.podAnnotations) | fromJson) -}}
{{- end -}}
{{- $_ := set $merged "executor" ($merged.executor | default (splitList "," $.Values.executor | first)) -}}
{{- $executor := include (printf "airdock.executor.%s.facts" $merged.executor) $ | fromYaml -}}
{{- range $key, $value := $executor.group }}{{ $_ := set $merged $key $value }}{{ end -}}
{{- $_ := set $merged "facts" (include (printf "airdock.mode.%s.facts" $merged.mode) (dict "root" $ "name" $name "group" $merged) | fromYaml) -}}
{{- /* What podSecurity.exemptions accepts needs a namespace that admits it. */ -}}
{{- range include "airdock.podSecurityFindings" (dict "root" $ "key" (printf "workers.%s" $name) "values" $merged) | fromJsonArray -}}
{{- if or (eq .level "privileged") (eq $merged.facts.podSecurity "restricted") }}{{ $_ := set $merged.facts "podSecurity" .level }}{{ end -}}
{{- end -}}
{{- $_ := set $merged "executorFacts" (omit $executor "group") -}}
{{- /* Kubernetes sets it from the demand. */ -}}
{{- if and (eq true $merged.autoscaling.enabled) (not $executor.podPerTask) }}{{ $_ := unset $merged "replicas" }}{{ end -}}
{{- $_ := set $groups $name $merged -}}
{{- end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end }}

{{- /*
The worker groups whose tasks each run in their own pod, or the persistent ones, in the format of airdock.workers. Call with
(dict "root" $ "podPerTask" false).
*/ -}}
{{- define "airdock.workersOf" -}}
{{- $groups := dict -}}
{{- range $name, $group := include "airdock.workers" .root | fromJson -}}
{{- if eq $group.executorFacts.podPerTask $.podPerTask }}{{ $_ := set $groups $name $group }}{{ end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end }}
