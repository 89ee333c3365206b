{{- /* What cannot work with a group's namespace, as a JSON list of messages. Call with (dict "root" $ "name" $name "group" $group "taskNamespaces" $list). */ -}}
{{- define "airdock.namespaceProblems" -}}
{{- $problems := list -}}
{{- $namespace := include "airdock.workerNamespace" . -}}
{{- if ne $namespace .root.Release.Namespace -}}
{{- $key := printf "workers.%s.namespace" .name -}}
{{- if has $namespace (list "default" "kube-system" "kube-public" "kube-node-lease") -}}
{{- $problems = append $problems (printf "%s: %q is everybody's, and the broker's password will be there. Give a namespace of the group's own." $key $namespace) -}}
{{- end -}}
{{- if has $namespace .taskNamespaces -}}
{{- $problems = append $problems (printf "%s: task pods run in %q, and could use the broker's Secret there. Give another one." $key $namespace) -}}
{{- end -}}
{{- if and .root.Values.logs.claim.size (not .root.Values.logs.claim.existingClaim) -}}
{{- $problems = append $problems (printf "%s: the claim of logs.claim.size is in namespace %s alone. Give logs.claim.existingClaim, the name of a claim in each of the namespaces for the same files, or logs.remote." $key .root.Release.Namespace) -}}
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
