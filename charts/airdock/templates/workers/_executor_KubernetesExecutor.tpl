{{- /*
KubernetesExecutor: the scheduler creates a pod for each task, in a namespace that has no Secret of the release. Its parts are explained in
_facts.tpl; pod-templates.yaml has its objects.
*/ -}}

{{- define "airdock.executor.KubernetesExecutor.facts" -}}
component: kubernetes-executor
podPerTask: true
broker: false
group:
  namespace: {{ include "airdock.executorNamespace" . | quote }}
  createNamespace: {{ .Values.kubernetesExecutor.createNamespace }}
settings: [airdock_executor_pods.py]
{{- end }}

{{- define "airdock.executor.KubernetesExecutor.config" -}}
scheduler:
  # How long pods of a scheduler that died wait for another one; by default 300.
  orphaned_tasks_check_interval: 60
kubernetes_executor:
  # By default the scheduler makes one pod in each round.
  worker_pods_creation_batch_size: 16
{{- end }}

{{- /* The executor looks for its container by this name. */ -}}
{{- define "airdock.executor.KubernetesExecutor.container" -}}
name: base
{{- end }}

{{- define "airdock.executor.KubernetesExecutor.problems" -}}
{{- $problems := list -}}
{{- $given := get .root.Values.workers .name | default dict -}}
{{- $group := .name -}}
{{- range $name, $why := dict
      "replicas" "each task gets a pod of its own"
      "concurrency" "each task gets a pod of its own"
      "namespace" "its pods run in kubernetesExecutor.namespace"
      "createNamespace" "it is kubernetesExecutor.createNamespace that counts" -}}
{{- if hasKey $given $name -}}
{{- $problems = append $problems (printf "workers.%s.%s: has no meaning with KubernetesExecutor: %s. Remove it." $group $name $why) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.executor.KubernetesExecutor.releaseProblems" -}}
{{- $problems := list -}}
{{- with .root -}}
{{- if not .Values.controlPlane.enabled -}}
{{- $problems = append $problems "executor: KubernetesExecutor is the scheduler's, and with controlPlane.enabled: false the chart brings none. Give CeleryExecutor." -}}
{{- end -}}
{{- $executor := include "airdock.executorNamespace" . -}}
{{- if has $executor (concat (list .Release.Namespace "default" "kube-system" "kube-public" "kube-node-lease") $.taskNamespaces) -}}
{{- $problems = append $problems (printf "kubernetesExecutor.namespace: %q holds more than its pods, which whoever writes a DAG can shape. Give one that holds nothing else." $executor) -}}
{{- else -}}
{{- range $name, $group := include "airdock.workersOf" (dict "root" . "podPerTask" false) | fromJson -}}
{{- if eq $executor (include "airdock.workerNamespace" (dict "root" $.root "group" $group)) -}}
{{- $problems = append $problems (printf "workers.%s.namespace: %q is kubernetesExecutor.namespace, and the broker's Secret would be within reach of its pods. Give another one." $name $executor) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
