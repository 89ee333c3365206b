{{- /* Problems with worker groups, each define a JSON list of messages. */ -}}

{{- define "airdock.problems.groups" -}}
{{- $problems := list -}}
{{- $groups := include "airdock.workers" . | fromJson -}}
{{- if not $groups -}}
{{- $problems = append $problems "workers: there is no worker group, so no task would ever run. Give at least one, for example workers.default: {mode: kubernetes, queues: [default]}." -}}
{{- end -}}
{{- $owners := dict -}}
{{- $executors := dict -}}
{{- range $name, $group := $groups -}}
{{- if not $group.queues -}}
{{- $problems = append $problems (printf "workers.%s.queues: is missing or empty. Name the queues that the group serves, for example [%s]." $name $name) -}}
{{- end -}}
{{- range $queue := $group.queues -}}
{{- if hasKey $owners $queue -}}
{{- if ne (get $owners $queue) $group.mode -}}
{{- $problems = append $problems (printf "workers.%s.queues: the queue %q is also served by a group of mode %s: a task would run in either mode by chance. Use another queue." $name $queue (get $owners $queue)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $owners $queue $group.mode -}}
{{- if hasKey $executors $queue -}}
{{- if ne (get $executors $queue) $group.executor -}}
{{- $problems = append $problems (printf "workers.%s.queues: the queue %q is also served by a group of %s: a task would run by either by chance. Use another queue." $name $queue (get $executors $queue)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $executors $queue $group.executor -}}
{{- end -}}
{{- $scope := dict "root" $ "name" $name "group" $group -}}
{{- if not (has $group.executor (splitList "," $.Values.executor)) -}}
{{- $problems = append $problems (printf "workers.%s.executor: %s is not in executor, which is %s. Add it there, with a comma, or choose another." $name $group.executor $.Values.executor) -}}
{{- end -}}
{{- $mode := include (printf "airdock.mode.%s.problems" $group.mode) $scope | fromJsonArray -}}
{{- $executor := include (printf "airdock.executor.%s.problems" $group.executor) $scope | fromJsonArray -}}
{{- $problems = concat $problems $mode $executor -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.executors" -}}
{{- $problems := list -}}
{{- $used := list -}}
{{- range include "airdock.workers" . | fromJson }}{{ $used = append $used .executor }}{{ end -}}
{{- $scope := dict "root" . "taskNamespaces" (include "airdock.taskNamespaceNames" . | fromJsonArray) -}}
{{- range $executor := splitList "," .Values.executor -}}
{{- if not (has $executor $used) -}}
{{- $problems = append $problems (printf "executor: names %s, and no worker group runs by it. Give a group workers.<name>.executor: %s, or leave it out." $executor $executor) -}}
{{- end -}}
{{- $problems = concat $problems (include (printf "airdock.executor.%s.releaseProblems" $executor) $scope | fromJsonArray) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* The queues that the cluster policy sends tasks to. */ -}}
{{- define "airdock.problems.queues" -}}
{{- $problems := list -}}
{{- $groups := include "airdock.workers" . | fromJson -}}
{{- range $what, $queue := .Values.airflow.queues -}}
{{- if $queue -}}
{{- $able := list -}}
{{- range $groups -}}
{{- if include "airdock.serves" (dict "group" . "what" $what) }}{{ $able = concat $able (.queues | default list) }}{{ end -}}
{{- end -}}
{{- if not (has $queue $able) -}}
{{- $problems = append $problems (printf "airflow.queues.%s: no worker group runs such tasks for the queue %q. Name one of: %s." $what $queue ($able | join ", " | default "(none; no group serves that)")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
