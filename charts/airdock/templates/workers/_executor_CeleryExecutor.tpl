{{- /* CeleryExecutor: persistent workers, which take tasks from the broker. _facts.tpl explains the parts. */ -}}

{{- define "airdock.executor.CeleryExecutor.facts" -}}
component: worker
podPerTask: false
broker: true
{{- end }}

{{- define "airdock.executor.CeleryExecutor.config" -}}
celery: {celery_config_options: airdock_connections.CELERY_CONFIG}
{{- end }}

{{- define "airdock.executor.CeleryExecutor.container" -}}
name: worker
args: [celery, worker, --queues, {{ join "," .group.queues | quote }}, --concurrency, {{ .group.concurrency | int | quote }}]
secrets: [broker, apiSecretKey]
# SIGTERM goes to the main process only: running tasks finish.
env: {DUMB_INIT_SETSID: "0"}
ports: {logs: 8793}
startupProbe: {{ include "airdock.workerProbe" (dict "period" 5 "failures" 60 "arguments" (list "--startup")) | fromYaml | toJson }}
livenessProbe: {{ include "airdock.workerProbe" (dict "period" 60 "failures" 5 "arguments" list) | fromYaml | toJson }}
{{- end -}}

{{- define "airdock.workerProbe" -}}
exec: {command: {{ concat (list "python" "/opt/airdock/probe_worker.py") .arguments | toJson }}}
periodSeconds: {{ .period }}
timeoutSeconds: 20
failureThreshold: {{ .failures }}
{{- end -}}

{{- define "airdock.executor.CeleryExecutor.problems" -}}
[]
{{- end }}

{{- define "airdock.executor.CeleryExecutor.releaseProblems" -}}
[]
{{- end }}
