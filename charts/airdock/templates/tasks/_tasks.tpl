{{- /* "yes" where the release runs task pods, by the Kubernetes operators or the Docker gateway, else nothing. */ -}}
{{- define "airdock.runsPods" -}}
{{- range include "airdock.workers" . | fromJson }}{{ if eq .mode "kubernetes" }}yes{{ end }}{{ end -}}
{{- end }}

{{- /* The namespaces of task pods as a YAML list: the release's own first, then tasks.extraNamespaces. */ -}}
{{- define "airdock.taskNamespaces" -}}
{{- prepend .Values.tasks.extraNamespaces (include "airdock.taskNamespace" .) | uniq | toJson -}}
{{- end }}

{{- /*
The value of the label airdock.dev/tasks, by which a namespace comes under the release's fence: <namespace>.<release>, with a hash where
that is too long for a label.
*/ -}}
{{- define "airdock.tasksLabel" -}}
{{- $value := printf "%s.%s" .Release.Namespace .Release.Name -}}
{{- gt (len $value) 63 | ternary (printf "%s-%s" (trunc 54 $value | trimAll "-.") (sha256sum $value | trunc 8)) $value -}}
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
The init container of workers that may start pods: waits for the fence. For a worker as for its Docker gateway, which may in the release's
own task namespace alone. Call with (dict "root" $ "group" $group).
*/ -}}
{{- define "airdock.waitForFence" -}}
{{- $operators := include "airdock.serves" (dict "group" .group "what" "kubernetes") -}}
{{- if or $operators (include "airdock.serves" (dict "group" .group "what" "clusterGateway")) -}}
- name: wait-for-fence
  command: {{ concat (list "python" "/opt/airdock/wait_for_fence.py") (empty $operators | ternary list .root.Values.tasks.extraNamespaces) | toJson }}
  volumeMounts:
    token: {mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- else -}}
[]
{{- end -}}
{{- end }}
