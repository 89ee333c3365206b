{{- /* The environment variables that the cluster policy (files/airflow_local_settings.py) reads, as YAML maps. */ -}}

{{- /* In the dag-processor, where the policy sets the queues. */ -}}
{{- define "airdock.routingEnv" -}}
{{- range $what, $queue := .Values.airflow.queues }}
{{- if $queue }}
AIRDOCK_{{ upper $what }}_QUEUE: {{ $queue | quote }}
{{- end }}
{{- end }}
{{- if include "airdock.anyExecutor" (dict "root" . "fact" "podPerTask") }}
{{- $executors := dict }}
{{- range $name, $group := include "airdock.workers" . | fromJson }}
{{- range $group.queues }}{{ $_ := set $executors . (dict "executor" $group.executor "group" $name) }}{{ end }}
{{- end }}
AIRDOCK_EXECUTORS: {{ toJson $executors | quote }}
{{- end }}
{{- end }}

{{- /* In a worker. Call with (dict "root" $ "group" $group). */ -}}
{{- define "airdock.workerPolicyEnv" -}}
{{- if include "airdock.serves" (dict "group" .group "what" "docker") }}
AIRDOCK_DOCKER_HOSTS: {{ join "," .root.Values.airflow.dockerHosts | quote }}
{{- end }}
{{- if include "airdock.serves" (dict "group" .group "what" "kubernetes") }}
{{- /* Which user an image names is known only after a trial, and the operator tries once. */}}
AIRDOCK_TASK_RUN_AS_USER: {{ include "airdock.taskUser" .group.tasks | default (include "airdock.openshift" .root | empty | ternary "50000" "") | quote }}
{{- if and (has .group.tasks.userNamespaces (list "auto" "on")) (eq .group.tasks.podSecurity.level "restricted") }}
AIRDOCK_TASK_USER_NAMESPACES: "true"
{{- end }}
{{- with .group.tasks.extraNamespaces }}
AIRDOCK_TASK_EXTRA_NAMESPACES: {{ join "," . | quote }}
{{- end }}
{{- if and .root.Values.networkPolicy.enabled (ne .group.tasks.networkPolicy.egress "open") }}
AIRDOCK_TASK_EGRESS_POLICY: {{ include "airdock.fullname" .root }}-tasks-egress
{{- end }}
AIRDOCK_TASK_CHECK_SECONDS: {{ .group.tasks.checkSeconds | quote }}
AIRDOCK_TASK_TTL_SECONDS: {{ .group.tasks.ttlSecondsAfterFinished | int | quote }}
AIRDOCK_TASK_RESOURCES: {{ toJson .group.tasks.resources | quote }}
{{- with include "airdock.taskEnv" (dict "root" .root "tasks" .group.tasks) | fromJson }}
AIRDOCK_TASK_ENV: {{ toJson . | replace "$" "$$" | quote }}
{{- end }}
{{- $pod := dict -}}
{{- range $name, $key := dict "spec" "pod" "labels" "podLabels" "annotations" "podAnnotations" -}}
{{- with get $.group.tasks $key }}{{ $_ := set $pod $name . }}{{ end -}}
{{- end }}
{{- with $pod }}
AIRDOCK_TASK_POD: {{ toJson . | replace "$" "$$" | quote }}
{{- end }}
{{- with include "airdock.trustOfTasks" .root | fromJson }}
AIRDOCK_TASK_TRUST: {{ toJson . | quote }}
{{- end }}
{{- if and .root.Values.controlPlane.enabled (ne true .group.tasks.rbac.deferrable) }}
AIRDOCK_TASK_DEFERRABLE: "false"
{{- end }}
{{- end }}
{{- end }}
