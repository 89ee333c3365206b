{{- /*
A worker, as the component that _workload.tpl builds from: the same for either executor, but for the container's own part. The group's mode
adds its part. Call with (dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.worker" -}}
{{- $mode := include (printf "airdock.mode.%s" .group.mode) . | fromYaml -}}
{{- /* Only the example DAGs look for them here: the queue is settled where a DAG is parsed. */ -}}
{{- $queues := .root.Values.dags.examples | ternary (include "airdock.queueEnv" (dict "root" .root "groups" (dict .name .group)) | fromYaml) dict -}}
{{- $celery := eq .group.executor "CeleryExecutor" -}}
name: worker-{{ .name }}
component: {{ include "airdock.workerComponent" .group }}
namespace: {{ include "airdock.workerNamespace" . | quote }}
values: {{ toJson .group }}
logs: true
dags: true
token: {{ $mode.token | default false }}
labels: {airdock.dev/worker-group: {{ .name | quote }}}
annotations:
  airdock.dev/mode: {{ .group.mode }}
  airdock.dev/queues: {{ join "," .group.queues | quote }}
  {{- if eq .group.mode "dind" }}
  airdock.dev/dind-variant: {{ .group.dind.variant }}
  {{- end }}
podAnnotations: {{ toJson $mode.podAnnotations }}
{{- if not $celery }}
restartPolicy: Never
{{- else if eq ($mode.kind | default "Deployment") "StatefulSet" }}
kind: StatefulSet
podManagementPolicy: {{ $mode.podManagementPolicy }}
claims: {{ toJson $mode.claims }}
{{- else }}
strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
{{- end }}
supplementalGroups: {{ toJson $mode.supplementalGroups }}
{{- if hasKey $mode "hostUsers" }}
hostUsers: {{ $mode.hostUsers }}
{{- end }}
runtimeClassName: {{ $mode.runtimeClassName | default "" | quote }}
initContainers: {{ concat (include "airdock.waitForFence" . | fromYamlArray) ($mode.initContainers | default list) | toJson }}
volumes: {{ toJson $mode.volumes }}
container:
  env: {{ include "airdock.overlay" (list $queues (include "airdock.workerPolicyEnv" . | fromYaml) $mode.env) }}
  volumeMounts: {{ toJson $mode.volumeMounts }}
{{- end -}}

{{- /* The component label of a group's pods: those of KubernetesExecutor need neither the broker nor a way in. */ -}}
{{- define "airdock.workerComponent" -}}
{{- eq .executor "CeleryExecutor" | ternary "worker" "kubernetes-executor" -}}
{{- end }}

{{- /* What makes a worker's container Celery's. Call with (dict "root" $ "name" $name "group" $group). */ -}}
{{- define "airdock.celeryContainer" -}}
name: worker
args: [celery, worker, --queues, {{ join "," .group.queues | quote }}, --concurrency, {{ .group.concurrency | int | quote }}]
secrets: [broker, apiSecretKey]
# SIGTERM to the main process alone: what runs is finished.
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
