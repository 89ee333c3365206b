{{- /* Problems with a group's namespace, as a JSON list of messages. Call with (dict "root" $ "name" $name "group" $group "taskNamespaces" $list). */ -}}
{{- define "airdock.namespaceProblems" -}}
{{- $problems := list -}}
{{- $namespace := include "airdock.workerNamespace" . -}}
{{- if ne $namespace .root.Release.Namespace -}}
{{- $key := printf "workers.%s.namespace" .name -}}
{{- if has $namespace (list "default" "kube-system" "kube-public" "kube-node-lease") -}}
{{- $problems = append $problems (printf "%s: %q is shared with the whole cluster, and the broker's password would be stored there. Use a dedicated namespace." $key $namespace) -}}
{{- end -}}
{{- if has $namespace .taskNamespaces -}}
{{- $problems = append $problems (printf "%s: task pods run in %q, and could use the broker's Secret there. Use another namespace." $key $namespace) -}}
{{- end -}}
{{- if and .root.Values.logs.claim.size (not .root.Values.logs.claim.existingClaim) -}}
{{- $problems = append $problems (printf "%s: the claim that logs.claim.size creates exists only in namespace %s. Set logs.claim.existingClaim to the name of a claim that exists in every namespace with workers, for the same files, or set logs.remote.baseLogFolder." $key .root.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.namespaces" -}}
{{- $problems := list -}}
{{- $taskNamespaces := include "airdock.taskNamespaceNames" . | fromJsonArray -}}
{{- range $name, $group := include "airdock.workers" . | fromJson -}}
{{- $scope := dict "root" $ "name" $name "group" $group "taskNamespaces" $taskNamespaces -}}
{{- $problems = concat $problems (include "airdock.namespaceProblems" $scope | fromJsonArray) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
