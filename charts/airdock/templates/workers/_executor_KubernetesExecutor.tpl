{{- /*
KubernetesExecutor: the scheduler creates a pod for each task, in a namespace without Secrets of the release. _facts.tpl explains the parts;
pod-templates.yaml has the objects.
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
  # How long the pods of a dead scheduler wait until another one adopts them. The default is 300.
  orphaned_tasks_check_interval: 60
kubernetes_executor:
  # By default, the scheduler creates one pod in each loop.
  worker_pods_creation_batch_size: 16
{{- end }}

{{- /* The executor finds its container by this name. */ -}}
{{- define "airdock.executor.KubernetesExecutor.container" -}}
name: base
{{- end }}

{{- define "airdock.executor.KubernetesExecutor.problems" -}}
{{- $problems := list -}}
{{- $given := get .root.Values.workers .name | default dict -}}
{{- $group := .name -}}
{{- range $name, $why := dict
      "replicas" "each task runs in its own pod"
      "concurrency" "each task runs in its own pod"
      "autoscaling" "each task runs in its own pod"
      "strategy" "each task runs in its own pod"
      "revisionHistoryLimit" "each task runs in its own pod"
      "namespace" "the pods run in kubernetesExecutor.namespace"
      "createNamespace" "kubernetesExecutor.createNamespace applies instead" -}}
{{- if hasKey $given $name -}}
{{- $problems = append $problems (printf "workers.%s.%s: has no effect with KubernetesExecutor: %s. Remove it." $group $name $why) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.executor.KubernetesExecutor.releaseProblems" -}}
{{- $problems := list -}}
{{- with .root -}}
{{- if not .Values.controlPlane.enabled -}}
{{- $problems = append $problems "executor: KubernetesExecutor runs in the scheduler, which controlPlane.enabled: false disables. Use CeleryExecutor." -}}
{{- end -}}
{{- $executor := include "airdock.executorNamespace" . -}}
{{- if has $executor (concat (list .Release.Namespace "default" "kube-system" "kube-public" "kube-node-lease") $.taskNamespaces) -}}
{{- $problems = append $problems (printf "kubernetesExecutor.namespace: %q contains other objects, too, and DAG authors influence the pods created there. Use a dedicated namespace." $executor) -}}
{{- else -}}
{{- range $name, $group := include "airdock.workersOf" (dict "root" . "podPerTask" false) | fromJson -}}
{{- if eq $executor (include "airdock.workerNamespace" (dict "root" $.root "group" $group)) -}}
{{- $problems = append $problems (printf "workers.%s.namespace: %q is kubernetesExecutor.namespace, too, and the pods there could use the broker's Secret. Use another namespace." $name $executor) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
