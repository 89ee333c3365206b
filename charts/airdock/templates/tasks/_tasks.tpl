{{- /* "yes" if any group starts task pods, with the Kubernetes operators or the Docker gateway; otherwise empty. */ -}}
{{- define "airdock.anyTaskPods" -}}
{{- range include "airdock.workers" . | fromJson }}{{ if .facts.taskPods }}yes{{ end }}{{ end -}}
{{- end }}

{{- /*
The settings of a group's task pods, as JSON: `tasks`, overridden by the group's, and the namespace's name. tasks.extraNamespaces belong to
the release's task namespace, so a group with another one does not get them. Nor does it share the triggerer, which every DAG author can use,
unless its own settings say so.
Call with (dict "root" $ "own" (list $defaultTasks $groupTasks)); both may be absent.
*/ -}}
{{- define "airdock.groupTasks" -}}
{{- $release := include "airdock.taskNamespace" .root -}}
{{- $tasks := omit .root.Values.tasks "extraNamespaces" -}}
{{- range .own }}{{ $tasks = include "airdock.merge" (dict "base" $tasks "over" .) | fromJson }}{{ end -}}
{{- $_ := set $tasks "namespace" ($tasks.namespace | default $release) -}}
{{- if ne $tasks.namespace $release -}}
{{- $rbac := dict "deferrable" false -}}
{{- range .own }}{{ with . }}{{ $rbac = mustMergeOverwrite $rbac (pick (.rbac | default dict) "deferrable") }}{{ end }}{{ end -}}
{{- $_ := set $tasks "rbac" (mustMergeOverwrite (deepCopy ($tasks.rbac | default dict)) (dict "deferrable" (eq true $rbac.deferrable))) -}}
{{- end -}}
{{- /* The uids that OpenShift assigns do not exist in a user namespace. */ -}}
{{- if and (eq ($tasks.userNamespaces | default "") "auto") (include "airdock.openshift" .root) }}{{ $_ := set $tasks "userNamespaces" "off" }}{{ end -}}
{{- if not (hasKey $tasks "extraNamespaces") -}}
{{- $_ := set $tasks "extraNamespaces" (eq $tasks.namespace $release | ternary .root.Values.tasks.extraNamespaces list) -}}
{{- end -}}
{{- toJson $tasks -}}
{{- end }}

{{- /* The uid of task pods that the values set, otherwise empty. Call with $tasks. */ -}}
{{- define "airdock.taskUser" -}}
{{- if not (kindIs "string" .user) }}{{ with .user }}{{ int . }}{{ end }}{{ end -}}
{{- end }}

{{- /* The settings of each task namespace, as a JSON list: the release's first, then those of groups with another one. */ -}}
{{- define "airdock.taskNamespaces" -}}
{{- $release := include "airdock.taskNamespace" . -}}
{{- $namespaces := dict -}}
{{- range include "airdock.workers" . | fromJson -}}
{{- if .facts.taskPods -}}
{{- $_ := set $namespaces .tasks.namespace .tasks -}}
{{- end -}}
{{- end -}}
{{- $sorted := list -}}
{{- range prepend (without (keys $namespaces | sortAlpha) $release) $release -}}
{{- with get $namespaces . }}{{ $sorted = append $sorted . }}{{ end -}}
{{- end -}}
{{- toJson $sorted -}}
{{- end }}

{{- /* The names of all task namespaces as a JSON list, including extraNamespaces. */ -}}
{{- define "airdock.taskNamespaceNames" -}}
{{- $names := list -}}
{{- range include "airdock.workers" . | fromJson -}}
{{- if .facts.taskPods }}{{ $names = concat $names (prepend .tasks.extraNamespaces .tasks.namespace) }}{{ end -}}
{{- end -}}
{{- uniq $names | toJson -}}
{{- end }}

{{- /* The worker groups that start task pods in a namespace, as a JSON list. Call with (dict "root" $ "namespace" $namespace). */ -}}
{{- define "airdock.groupsOfTasks" -}}
{{- $groups := list -}}
{{- range include "airdock.workers" .root | fromJson -}}
{{- if and .facts.taskPods (eq .tasks.namespace $.namespace) }}{{ $groups = append $groups . }}{{ end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end }}

{{- /* The keys of labels that the values set on task pods of a namespace, as a JSON list. Call as airdock.groupsOfTasks. */ -}}
{{- define "airdock.taskLabels" -}}
{{- $labels := list -}}
{{- range include "airdock.groupsOfTasks" . | fromJsonArray -}}
{{- $labels = concat $labels (keys (.tasks.podLabels | default dict)) -}}
{{- range $_, $network := .tasks.networks }}{{ $labels = concat $labels (keys $network.labels) }}{{ end -}}
{{- end -}}
{{- uniq $labels | sortAlpha | toJson -}}
{{- end }}

{{- /* The name of a task namespace if it is not the release's, otherwise empty. Call with (dict "root" $ "tasks" $tasks). */ -}}
{{- define "airdock.otherTaskNamespace" -}}
{{- if ne .tasks.namespace (include "airdock.taskNamespace" .root) }}{{ .tasks.namespace }}{{ end -}}
{{- end }}

{{- /*
The value of the label airdock.dev/tasks. An admission policy of the release applies to namespaces with this label: <namespace>.<release>, or
<namespace>.<release>_<task namespace> if that is not the release's.
Call with (dict "root" $ "tasks" $tasks).
*/ -}}
{{- define "airdock.tasksLabel" -}}
{{- $value := printf "%s.%s" .root.Release.Namespace .root.Release.Name -}}
{{- with include "airdock.otherTaskNamespace" . }}{{ $value = printf "%s_%s" $value . }}{{ end -}}
{{- include "airdock.labelValue" $value -}}
{{- end }}

{{- /* The stem of cluster-scoped names: <namespace>-<name>, with a hash if that is long or ambiguous. */ -}}
{{- define "airdock.fenceName" -}}
{{- $name := include "airdock.fullname" . -}}
{{- $stem := printf "%s-%s" .Release.Namespace $name -}}
{{- if or (gt (len $stem) 46) (contains "-" .Release.Namespace) (contains "-" $name) -}}
{{- printf "%s-%s" (trunc 37 $stem | trimSuffix "-") (printf "%s/%s" .Release.Namespace $name | sha256sum | trunc 8) -}}
{{- else -}}
{{- $stem -}}
{{- end -}}
{{- end }}

{{- /*
The variables about task pods that differ from airdock.envData in a group, as a YAML map, for its containers that read them.
Call with (dict "root" $ "group" $group).
*/ -}}
{{- define "airdock.groupTasksEnv" -}}
{{- $tasks := .group.tasks -}}
{{- with include "airdock.otherTaskNamespace" (dict "root" .root "tasks" $tasks) }}
AIRDOCK_TASK_NAMESPACE: {{ . | quote }}
{{- end }}
{{- if ne $tasks.admission.enabled .root.Values.tasks.admission.enabled }}
AIRDOCK_ADMISSION_FENCE: {{ $tasks.admission.enabled | ternary "true" "" | quote }}
{{- end }}
{{- end }}

{{- /*
The init container of workers that can start pods: it waits for the admission policy (the fence). The Docker gateway can start pods in the
group's task namespace only. Call with (dict "root" $ "group" $group).
*/ -}}
{{- define "airdock.waitForFence" -}}
{{- $operators := include "airdock.serves" (dict "group" .group "what" "kubernetes") -}}
{{- if or $operators (include "airdock.serves" (dict "group" .group "what" "clusterGateway")) -}}
- name: wait-for-fence
  command: {{ concat (list "python" "/opt/airdock/wait_for_fence.py") (empty $operators | ternary list .group.tasks.extraNamespaces) | toJson }}
  env: {{ merge (include "airdock.groupTasksEnv" . | fromYaml) (dict "AIRDOCK_FORBIDDEN_PODS" (include "airdock.forbiddenPods" (dict "root" .root "tasks" .group.tasks) | fromJson | values | sortAlpha | join " ")) | toJson }}
  volumeMounts:
    token: {mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- else -}}
[]
{{- end -}}
{{- end }}
