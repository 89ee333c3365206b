{{- /*
The pods of KubernetesExecutor: one for each task, from the template of the worker group that serves the task's queue. The scheduler creates
them in a namespace without Secrets of the release.
*/ -}}
{{- define "airdock.podTemplates" -}}
{{- range $name, $group := include "airdock.workersOf" (dict "root" . "podPerTask" true) | fromJson }}
{{ $name }}.yaml: |
  {{- include "airdock.podTemplate" (dict "root" $ "name" $name "group" $group) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "airdock.podTemplate" -}}
{{- $worker := include "airdock.worker" . | fromYaml -}}
{{- include "airdock.addAirflow" (dict "root" .root "component" $worker) -}}
{{- /* Checksums restart persistent pods. Here they would only restart the components that read the template. */ -}}
{{- range $key := keys $worker.podAnnotations }}{{ if hasPrefix "checksum/" $key }}{{ $_ := unset $worker.podAnnotations $key }}{{ end }}{{ end -}}
{{- $scope := dict "root" .root "component" $worker.component "name" $worker.name "namespace" $worker.namespace -}}
{{- $pod := include "airdock.pod" (dict "root" .root "component" $worker "scope" $scope) | fromYaml -}}
{{- /* The executor gives each pod another name. */ -}}
{{- $metadata := dict "name" (printf "%s-%s" (include "airdock.fullname" .root) $worker.name) "namespace" $worker.namespace "annotations" $worker.annotations -}}
{{- $_ := set $pod "metadata" (mustMerge $pod.metadata $metadata) -}}
{{- dict "apiVersion" "v1" "kind" "Pod" | merge $pod | toYaml -}}
{{- end }}

{{- /* What the components that read the templates add to their pods. */ -}}
{{- define "airdock.podTemplateMount" -}}
{{- with include "airdock.podTemplates" . -}}
env:
  {{- include "airdock.executorNamespaceEnv" $ | nindent 2 }}
  AIRDOCK_POD_TEMPLATES: /opt/airflow/pod_templates
  AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE: {{ include "airdock.defaultPodTemplate" $ }}
  AIRDOCK_POD_OVERRIDES: {{ join "," $.Values.kubernetesExecutor.allowedOverrides | quote }}
podAnnotations: {checksum/pod-templates: {{ sha256sum . }}}
volumes:
  pod-templates: {configMap: {name: {{ include "airdock.fullname" $ }}-pod-templates}}
volumeMounts:
  pod-templates: {mountPath: /opt/airflow/pod_templates, readOnly: true}
{{- end }}
{{- end }}

{{- /* The namespace of the pods, for the components that have permissions there. */ -}}
{{- define "airdock.executorNamespaceEnv" -}}
AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE: {{ include "airdock.executorNamespace" . | quote }}
{{- end }}

{{- /* The template of tasks whose queue no group of KubernetesExecutor serves: the default queue's, otherwise the first one. */ -}}
{{- define "airdock.defaultPodTemplate" -}}
{{- $groups := include "airdock.workersOf" (dict "root" . "podPerTask" true) | fromJson -}}
{{- $chosen := keys $groups | sortAlpha | first -}}
{{- range $name, $group := $groups }}{{ if has (include "airdock.defaultQueue" $) $group.queues }}{{ $chosen = $name }}{{ end }}{{ end -}}
{{- printf "/opt/airflow/pod_templates/%s.yaml" $chosen -}}
{{- end }}

{{- define "airdock.executorRules.scheduler" -}}
- {apiGroups: [""], resources: [pods], verbs: [create, get, list, watch, patch, delete]}
{{- end }}

{{- /* For the logs of running tasks. */ -}}
{{- define "airdock.executorRules.api-server" -}}
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
{{- end }}
