{{- /*
A worker, as a component for _workload.tpl, with the parts of its mode and executor: a mode adds annotations, podAnnotations, env, volumes,
volumeMounts, initContainers, token, supplementalGroups, hostUsers, runtimeClassName, and for a StatefulSet kind, podManagementPolicy and
claims. Call with (dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.worker" -}}
{{- $mode := include (printf "airdock.mode.%s" .group.mode) . | fromYaml -}}
{{- /* Only the example DAGs read them here: the dag-processor sets a task's queue. */ -}}
{{- $queues := .root.Values.dags.examples | ternary (include "airdock.queueEnv" (dict "root" .root "groups" (dict .name .group)) | fromYaml) dict -}}
{{- $bundles := include "airdock.workerBundles" .root | fromYaml -}}
{{- $container := include (printf "airdock.executor.%s.container" .group.executor) . | fromYaml -}}
name: worker-{{ .name }}
component: {{ .group.executorFacts.component }}
namespace: {{ include "airdock.workerNamespace" . | quote }}
key: workers.{{ .name }}
values: {{ toJson .group }}
logs: true
grooms: {{ not .group.executorFacts.podPerTask }}
ships: true
dags: true
token: {{ $mode.token | default false }}
labels: {airdock.dev/worker-group: {{ .name | quote }}}
annotations: {{ include "airdock.overlay" (list $mode.annotations (dict "airdock.dev/mode" .group.mode "airdock.dev/queues" (join "," .group.queues))) }}
podAnnotations: {{ include "airdock.overlay" (list $mode.podAnnotations (include "airdock.requiredConstraints" . | fromYaml)) }}
{{- if .group.executorFacts.podPerTask }}
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
initContainers: {{ concat (include "airdock.checkAttached" . | fromYamlArray) (include "airdock.waitForFence" . | fromYamlArray) ($mode.initContainers | default list) | toJson }}
volumes: {{ include "airdock.overlay" (list $bundles.volumes $mode.volumes) }}
container: {{ mustMerge $container (dict "env" (include "airdock.overlay" (list $queues (include "airdock.namespaceEnv" .root | fromYaml) (include "airdock.workerPolicyEnv" . | fromYaml) $bundles.env $mode.env) | fromJson) "volumeMounts" (include "airdock.overlay" (list $bundles.volumeMounts $mode.volumeMounts) | fromJson)) | toJson }}
{{- end -}}


{{- /* The init container that checks the Airflow of another chart, as a YAML list. Call as airdock.worker. */ -}}
{{- define "airdock.checkAttached" -}}
{{- if or .root.Values.controlPlane.enabled (not .group.executorFacts.broker) -}}
[]
{{- else -}}
- name: check-airflow
  command: [python, /opt/airdock/check_attached.py]
  secrets: [broker]
{{- end -}}
{{- end }}
