{{- /* The rules for where and how a pod runs. Call with (dict "root" $ "tasks" $tasks). _fence_rules.tpl explains them. */ -}}
{{- define "airdock.fencePlacementRules" -}}
{{- $a := .tasks.admission -}}
priorityClass: |
  [object.spec.?priorityClassName.orValue("")]
    .filter(n, n != "" && !({{ include "airdock.celAllowed" (dict "name" "n" "list" $a.priorityClasses) }}))
    .map(n, "priority class " + n + " (tasks.admission.priorityClasses)")
nodeName: |
  request.operation == "CREATE" && object.spec.?nodeName.orValue("") != "" ?
    ["spec.nodeName bypasses the scheduler: use node_selector or affinity (no value allows this)"] : []
tolerations: |
  object.spec.?tolerations.orValue([])
    .map(t, t.?key.orValue("") + " " + t.?operator.orValue("Equal") + " " + t.?value.orValue("") + " " + t.?effect.orValue(""))
    .filter(t, !(t in {{ include "airdock.fenceTolerations" . }}))
    .map(t, "toleration '" + t + "' (tasks.admission.tolerations)")
scheduler: |
  [object.spec.?schedulerName.orValue("default-scheduler")]
    .filter(n, !({{ include "airdock.celAllowed" (dict "name" "n" "list" (prepend ($a.schedulers | default list) "default-scheduler")) }}))
    .map(n, "scheduler " + n + " (tasks.admission.schedulers)")
affinity: |
  ["podAffinity", "podAntiAffinity"].filter(kind,
      (dyn(object.spec).?affinity[?kind].?requiredDuringSchedulingIgnoredDuringExecution.orValue(dyn([]))
        + dyn(object.spec).?affinity[?kind].?preferredDuringSchedulingIgnoredDuringExecution.orValue(dyn([])).map(p, p.podAffinityTerm)
      ).exists(t, has(t.namespaceSelector) || t.?namespaces.orValue(dyn([])).exists(n, n != request.namespace)))
    .map(kind, kind + " to pods of other namespaces: remove namespaces and namespaceSelector (no value allows this)")
runtimeClass: |
  [object.spec.?runtimeClassName.orValue("")]
    .filter(n, n != "" && !({{ include "airdock.celAllowed" (dict "name" "n" "list" $a.runtimeClasses) }}))
    .map(n, "runtime class " + n + " (tasks.admission.runtimeClasses)")
schedulingGates: |
  request.operation == "CREATE" && object.spec.?schedulingGates.orValue([]).size() > 0 ?
    ["schedulingGates, with which a pod waits indefinitely (no value allows this)"] : []
{{- end }}

{{- /* The tolerations that pods may have, each as "key operator value effect": what Kubernetes adds, then the user's. */ -}}
{{- define "airdock.fenceTolerations" -}}
{{- $allowed := list "node.kubernetes.io/not-ready Exists  NoExecute" "node.kubernetes.io/unreachable Exists  NoExecute" "node.kubernetes.io/memory-pressure Exists  NoSchedule" -}}
{{- range .tasks.admission.tolerations -}}
{{- $toleration := . -}}
{{- range $effect := empty .effect | ternary (list "" "NoSchedule" "PreferNoSchedule" "NoExecute") (list .effect) -}}
{{- $allowed = append $allowed (printf "%s %s %s %s" ($toleration.key | default "") ($toleration.operator | default "Equal") ($toleration.value | default "") $effect) -}}
{{- end -}}
{{- end -}}
{{- toJson $allowed -}}
{{- end }}
