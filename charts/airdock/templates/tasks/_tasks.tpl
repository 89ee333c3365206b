{{- /* "yes" where the release runs task pods, by the Kubernetes operators or the Docker gateway, else nothing. */ -}}
{{- define "airdock.anyTaskPods" -}}
{{- range include "airdock.workers" . | fromJson }}{{ if .facts.taskPods }}yes{{ end }}{{ end -}}
{{- end }}

{{- /*
The settings of a group's task pods, as JSON: the release's `tasks`, and over it the group's, with the namespace's name. Namespaces beside
the release's task namespace are not beside one that a group has for itself.
Call with (dict "root" $ "own" (list $defaultTasks $groupTasks)); the two may be absent.
*/ -}}
{{- define "airdock.groupTasks" -}}
{{- $release := include "airdock.taskNamespace" .root -}}
{{- $tasks := omit .root.Values.tasks "extraNamespaces" -}}
{{- range .own }}{{ $tasks = include "airdock.merge" (dict "base" $tasks "over" .) | fromJson }}{{ end -}}
{{- $_ := set $tasks "namespace" ($tasks.namespace | default $release) -}}
{{- if not (hasKey $tasks "extraNamespaces") -}}
{{- $_ := set $tasks "extraNamespaces" (eq $tasks.namespace $release | ternary .root.Values.tasks.extraNamespaces list) -}}
{{- end -}}
{{- toJson $tasks -}}
{{- end }}

{{- /* The task namespaces, as a JSON list of their settings: the release's own first, then those that groups have for themselves. */ -}}
{{- define "airdock.taskSpaces" -}}
{{- $release := include "airdock.taskNamespace" . -}}
{{- $spaces := dict -}}
{{- range include "airdock.workers" . | fromJson -}}
{{- if .facts.taskPods -}}
{{- $_ := set $spaces .tasks.namespace .tasks -}}
{{- end -}}
{{- end -}}
{{- $sorted := list -}}
{{- range prepend (without (keys $spaces | sortAlpha) $release) $release -}}
{{- with get $spaces . }}{{ $sorted = append $sorted . }}{{ end -}}
{{- end -}}
{{- toJson $sorted -}}
{{- end }}

{{- /* The names of all task namespaces as a JSON list, also of those that share another one's settings. */ -}}
{{- define "airdock.taskNamespaceNames" -}}
{{- $names := list -}}
{{- range include "airdock.workers" . | fromJson -}}
{{- if .facts.taskPods }}{{ $names = concat $names (prepend .tasks.extraNamespaces .tasks.namespace) }}{{ end -}}
{{- end -}}
{{- uniq $names | toJson -}}
{{- end }}

{{- /* The name of a task namespace that is not the release's, for what is there once for each. Call with (dict "root" $ "tasks" $tasks). */ -}}
{{- define "airdock.groupNamespace" -}}
{{- if ne .tasks.namespace (include "airdock.taskNamespace" .root) }}{{ .tasks.namespace }}{{ end -}}
{{- end }}

{{- /*
The value of the label airdock.dev/tasks, by which a namespace comes under a fence of the release: <namespace>.<release>, or
<namespace>.<release>_<task namespace> where that is not the release's; with a hash where it is too long for a label.
Call with (dict "root" $ "tasks" $tasks).
*/ -}}
{{- define "airdock.tasksLabel" -}}
{{- $value := printf "%s.%s" .root.Release.Namespace .root.Release.Name -}}
{{- with include "airdock.groupNamespace" . }}{{ $value = printf "%s_%s" $value . }}{{ end -}}
{{- include "airdock.labelValue" $value -}}
{{- end }}

{{- /* The stem of cluster-scoped names: <namespace>-<name>, with a hash where that is long or could be read in two ways. */ -}}
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
What of the variables about task pods (airdock.envData) is different for a group, as a YAML map, for each of its containers that read them.
Call with (dict "root" $ "group" $group).
*/ -}}
{{- define "airdock.groupTasksEnv" -}}
{{- $tasks := .group.tasks -}}
{{- with include "airdock.groupNamespace" (dict "root" .root "tasks" $tasks) }}
AIRDOCK_TASK_NAMESPACE: {{ . | quote }}
{{- end }}
{{- if ne $tasks.admission.enabled .root.Values.tasks.admission.enabled }}
AIRDOCK_ADMISSION_FENCE: {{ $tasks.admission.enabled | ternary "true" "" | quote }}
{{- end }}
{{- end }}

{{- /*
The init container of workers that may start pods: waits for the fence. For a worker as for its Docker gateway, which may in the group's
task namespace alone. Call with (dict "root" $ "group" $group).
*/ -}}
{{- define "airdock.waitForFence" -}}
{{- $operators := include "airdock.serves" (dict "group" .group "what" "kubernetes") -}}
{{- if or $operators (include "airdock.serves" (dict "group" .group "what" "clusterGateway")) -}}
- name: wait-for-fence
  command: {{ concat (list "python" "/opt/airdock/wait_for_fence.py") (empty $operators | ternary list .group.tasks.extraNamespaces) | toJson }}
  env: {{ include "airdock.groupTasksEnv" . | fromYaml | toJson }}
  volumeMounts:
    token: {mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- else -}}
[]
{{- end -}}
{{- end }}
