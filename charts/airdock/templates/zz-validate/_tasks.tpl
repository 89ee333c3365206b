{{- /* Problems with task namespaces. Each define returns a JSON list of messages. */ -}}

{{- /* The settings of task namespaces as JSON, by their key in the values. */ -}}
{{- define "airdock.taskSettings" -}}
{{- $settings := dict "tasks" (set (omit .Values.tasks "namespace") "namespace" (include "airdock.taskNamespace" .)) -}}
{{- range $name, $group := include "airdock.workers" . | fromJson -}}
{{- if and $group.facts.taskPods (get $.Values.workers $name).tasks }}{{ $_ := set $settings (printf "workers.%s.tasks" $name) $group.tasks }}{{ end -}}
{{- end -}}
{{- toJson $settings -}}
{{- end }}

{{- /* Groups that share a task namespace. Settings that concern only a pod may differ between groups. */ -}}
{{- define "airdock.problems.tasks" -}}
{{- $problems := list -}}
{{- $owners := dict -}}
{{- range $name, $group := include "airdock.workers" . | fromJson -}}
{{- if $group.facts.taskPods -}}
{{- $tasks := $group.tasks -}}
{{- $shared := omit $tasks "user" "userNamespaces" "resources" "checkSeconds" "networks" "clusters" "pod" "podLabels" "podAnnotations" "blockNodeScaleDown" "gpuResource" "gpusPerContainer" "ulimits" "tmp" "ttlSeconds" "timeouts" | toJson -}}
{{- range $namespace := prepend $tasks.extraNamespaces $tasks.namespace | uniq -}}
{{- $other := get $owners $namespace | default (dict "group" $name "settings" $shared) -}}
{{- if ne $other.settings $shared -}}
{{- $problems = append $problems (printf "workers.%s.tasks: workers.%s uses the task namespace %q, too, with different settings, but a namespace has one quota, one admission policy and one set of permissions. Use the same settings for both, or set workers.%s.tasks.namespace." $name $other.group $namespace $name) -}}
{{- end -}}
{{- $_ := set $owners $namespace $other -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.fences" -}}
{{- $problems := list -}}
{{- $namespaces := include "airdock.namespaces" . | fromJsonArray -}}
{{- $workers := printf "^system:serviceaccount:(%s):%s-worker-" (join "|" $namespaces) (include "airdock.fullname" .) -}}
{{- $accounts := list -}}
{{- range include "airdock.workers" . | fromJson -}}
{{- $given := (.serviceAccount | default dict).name -}}
{{- if $given }}{{ $accounts = append $accounts (printf "system:serviceaccount:%s:%s" (include "airdock.workerNamespace" (dict "root" $ "group" .)) $given) }}{{ end -}}
{{- end -}}
{{- range $key, $tasks := include "airdock.taskSettings" . | fromJson -}}
{{- if has $tasks.namespace (list $.Release.Namespace "default" "kube-system" "kube-public" "kube-node-lease") -}}
{{- $problems = append $problems (printf "%s.namespace: %q contains other objects, too. Task pods can use every Secret and service account in their namespace. Use a dedicated namespace." $key $tasks.namespace) -}}
{{- end -}}
{{- if and $tasks.quota.enabled (index $tasks.quota.hard "limits.ephemeral-storage") -}}
{{- $defaults := dict -}}
{{- if $tasks.limitRange.enabled }}{{ range $tasks.limitRange.limits }}{{ $defaults = merge $defaults (.default | default dict) (.max | default dict) }}{{ end }}{{ end -}}
{{- if not (hasKey $defaults "ephemeral-storage") -}}
{{- $problems = append $problems (printf "%s.quota.hard: limits.ephemeral-storage rejects every container without such a limit, and %s.limitRange.limits has no default for it. Add the default, or set %s.quota.hard.limits.ephemeral-storage to null." $key $key $key) -}}
{{- end -}}
{{- end -}}
{{- range $tasks.rbac.rules -}}
{{- range .apiGroups -}}
{{- if regexMatch "^((rbac\\.authorization|authentication|authorization|admissionregistration|apiextensions|apiregistration|certificates|coordination|discovery|events|imagepolicy|networking|node|resource|scheduling|storage|storagemigration|metrics)|(internal|flowcontrol)\\.apiserver)\\.k8s\\.io$" . -}}
{{- $problems = append $problems (printf "%s.rbac.rules: %q is an API group of Kubernetes itself, whose objects the fence and the quota rely on. Only custom resources can be listed. Remove it." $key .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $tasks.rbac.rules -}}
{{- range .resources -}}
{{- if contains "networkpolic" . -}}
{{- $problems = append $problems (printf "%s.rbac.rules: with %q, every DAG author could open the network of task pods. Set %s.networkPolicy instead, and remove it." $key . $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $tasks.admission.enabled (empty $tasks.admission.storageClasses) -}}
{{- $uses := $tasks.rbac.claims | ternary (list "rbac.claims") list -}}
{{- if has "ephemeral" $tasks.admission.volumeTypes }}{{ $uses = append $uses "admission.volumeTypes" }}{{ end -}}
{{- range $uses -}}
{{- $problems = append $problems (printf "%s.%s: the admission policy rejects every claim until %s.admission.storageClasses lists storage classes. Add those of `kubectl get storageclass` that DAG authors may use." $key . $key) -}}
{{- end -}}
{{- end -}}
{{- if $tasks.admission.enabled -}}
{{- if has "kube-system" $namespaces -}}
{{- $problems = append $problems (printf "%s.admission.enabled: workers in kube-system have the rights of the cluster's controllers, which the admission policy trusts. Install the release in another namespace, or set %s.admission.enabled: false." $key $key) -}}
{{- end -}}
{{- range $list := list "exemptUsers" "controllers" -}}
{{- range get $tasks.admission $list -}}
{{- if or (regexMatch $workers .) (has . $accounts) -}}
{{- $problems = append $problems (printf "%s.admission.%s: %q is a worker's service account, which every DAG author can use, so the admission policy would not apply. Remove it, or set %s.admission.enabled: false." $key $list . $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $tasks.admission.exemptGroups -}}
{{- if or (has . (list "system:authenticated" "system:serviceaccounts")) (has (trimPrefix "system:serviceaccounts:" .) $namespaces) -}}
{{- $problems = append $problems (printf "%s.admission.exemptGroups: %q includes the workers' service accounts, which every DAG author can use, so the admission policy would never apply. Remove it, or set %s.admission.enabled: false." $key . $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* Pods of the Docker gateway that the admission policy of their own task namespace would refuse. */ -}}
{{- define "airdock.problems.taskPods" -}}
{{- $problems := list -}}
{{- range $name, $group := include "airdock.workers" . | fromJson -}}
{{- $admission := $group.tasks.admission | default dict -}}
{{- if and (has "clusterGateway" $group.facts.serves) $admission.enabled -}}
{{- $key := (get $.Values.workers $name).tasks | empty | ternary "tasks" (printf "workers.%s.tasks" $name) -}}
{{- $pod := $group.tasks.pod | default dict -}}
{{- range $field, $list := dict "priorityClassName" "priorityClasses" "schedulerName" "schedulers" "runtimeClassName" "runtimeClasses" -}}
{{- $value := get $pod $field -}}
{{- $allowed := get $admission $list | default list -}}
{{- if not (or (empty $value) (has $value $allowed) (has "*" $allowed) (eq $value "default-scheduler")) -}}
{{- $problems = append $problems (printf "%s.pod.%s: the admission policy rejects %q. Add it to %s.admission.%s." $key $field $value $key $list) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "\"(namespaceSelector|namespaces)\"" (toJson $pod.affinity) -}}
{{- $problems = append $problems (printf "%s.pod.affinity: the admission policy rejects terms with namespaces or namespaceSelector. Remove them." $key) -}}
{{- end -}}
{{- $allowed := include "airdock.fenceTolerations" (dict "tasks" $group.tasks) | fromJsonArray -}}
{{- range $pod.tolerations -}}
{{- $toleration := printf "%s %s %s %s" (.key | default "") (.operator | default "Equal") (.value | default "") (.effect | default "") -}}
{{- if not (has $toleration $allowed) -}}
{{- $problems = append $problems (printf "%s.pod.tolerations: the admission policy rejects %s. Add it to %s.admission.tolerations." $key (toJson .) $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $problems) -}}
{{- end }}
