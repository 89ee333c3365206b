{{- /* Problems with worker groups. Each define returns a JSON list of messages. */ -}}

{{- define "airdock.problems.groupNames" -}}
{{- $problems := list -}}
{{- range $name, $_ := .Values.workers -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,18}[a-z0-9])?$" $name) -}}
{{- $problems = append $problems (printf "workers: the name %q is not allowed for a worker group. Use at most 20 lowercase letters, digits and hyphens, and begin with a letter." $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.groups" -}}
{{- $problems := list -}}
{{- $groups := include "airdock.workers" . | fromJson -}}
{{- if not $groups -}}
{{- $problems = append $problems "workers: no worker group is defined, so no task would ever run. Define at least one, for example workers.default: {mode: kubernetes, queues: [default]}." -}}
{{- end -}}
{{- $owners := dict -}}
{{- $executors := dict -}}
{{- range $name, $group := $groups -}}
{{- if not $group.queues -}}
{{- $problems = append $problems (printf "workers.%s.queues: is missing or empty. List the queues that the group serves, for example [%s]." $name $name) -}}
{{- end -}}
{{- range $queue := $group.queues -}}
{{- if hasKey $owners $queue -}}
{{- if ne (get $owners $queue) $group.mode -}}
{{- $problems = append $problems (printf "workers.%s.queues: the queue %q is also served by a group in mode %s, so a task could run in either mode, unpredictably. Use another queue." $name $queue (get $owners $queue)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $owners $queue $group.mode -}}
{{- if hasKey $executors $queue -}}
{{- if ne (get $executors $queue) $group.executor -}}
{{- $problems = append $problems (printf "workers.%s.queues: the queue %q is also served by a group of %s, so a task could run with either executor, unpredictably. Use another queue." $name $queue (get $executors $queue)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $executors $queue $group.executor -}}
{{- end -}}
{{- $scope := dict "root" $ "name" $name "group" $group -}}
{{- if not (has $group.executor (splitList "," $.Values.executor)) -}}
{{- $problems = append $problems (printf "workers.%s.executor: %s is not listed in executor (%s). Add it there, separated by a comma, or choose another one." $name $group.executor $.Values.executor) -}}
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
{{- $problems = append $problems (printf "executor: lists %s, but no worker group uses it. Set workers.<name>.executor: %s for a group, or remove %s from executor." $executor $executor $executor) -}}
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
{{- $problems = append $problems (printf "airflow.queues.%s: no worker group that serves the queue %q can run these tasks. Use one of: %s." $what $queue ($able | join ", " | default "(none: no worker group can run them)")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
