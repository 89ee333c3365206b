{{- /* The queue of tasks that set none. */ -}}
{{- define "airdock.defaultQueue" -}}
{{- $env := get .Values.airflow.env "AIRFLOW__OPERATORS__DEFAULT_QUEUE" -}}
{{- kindIs "string" $env | ternary $env (get (.Values.airflow.config.operators | default dict) "default_queue") | default "default" -}}
{{- end }}

{{- /* The first queue of each group that serves something (airdock.serves), separated by commas. Call with (dict "root" $ "what" "docker"). */ -}}
{{- define "airdock.queuesServing" -}}
{{- $queues := list -}}
{{- range $name, $group := include "airdock.workers" .root | fromJson -}}
{{- if include "airdock.serves" (dict "group" $group "what" $.what) -}}
{{- $queues = append $queues (first $group.queues) -}}
{{- end -}}
{{- end -}}
{{- join "," $queues -}}
{{- end }}

{{- /*
For each group, a queue for each thing that it serves, as a YAML map. Each is a separate variable, so another group does not change the pods of
existing ones. The cluster policy uses them for routing, and example DAGs are generated for them. Call with (dict "root" $ "groups" $map).
*/ -}}
{{- define "airdock.queueEnv" -}}
{{- $default := include "airdock.defaultQueue" .root -}}
{{- range $name, $group := .groups -}}
{{- range $what := list "docker" "kubernetes" -}}
{{- if include "airdock.serves" (dict "group" $group "what" $what) }}
{{ printf "AIRDOCK_%s_QUEUE_%s" $what $name | upper | replace "-" "_" }}: {{ has $default $group.queues | ternary $default (first $group.queues) | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
