{{- /* The rules for what a pod uses up. Call with (dict "root" $ "tasks" $tasks). _fence_rules.tpl explains them. */ -}}
{{- define "airdock.fenceLimitRules" -}}
{{- $a := .tasks.admission -}}
{{- with $a.requiredLimits }}
limits: |
  variables.containers.filter(c, !{{ toJson . }}.all(r, r in c.?resources.?limits.orValue({})))
    .map(c, "container " + c.name + " lacks a limit for {{ join " or " . }} (tasks.limitRange, or tasks.admission.requiredLimits)")
{{- end }}
resources: |
  ([dyn(object.spec)] + variables.containers)
    .map(c, c.?resources.?limits.orValue(dyn({})).map(r, r).join(",")).join(",").split(",")
    .filter(n, n != "" && !(n in {{ include "airdock.fenceResources" . }}))
    .map(n, "resource " + n + " (tasks.quota.hard: add requests." + n + ")")
resourceClaims: |
  dyn(object.spec).?resourceClaims.orValue(dyn([]))
    .map(c, c.?resourceClaimName.orValue(c.?resourceClaimTemplateName.orValue("")))
    .filter(n, !({{ include "airdock.celAllowed" (dict "name" "n" "list" $a.resourceClaims) }}))
    .map(n, "resource claim " + n + " (tasks.admission.resourceClaims)")
volumeSizes: |
  variables.volumes.filter(v, quantity(string(v.?emptyDir.?sizeLimit.orValue("0"))).isGreaterThan(quantity({{ toString $a.maxVolumeSize | quote }})))
    .map(v, "volume " + v.name + " is larger than {{ $a.maxVolumeSize }} (tasks.admission.maxVolumeSize)")
gracePeriod: |
  ([dyn(object.spec).?terminationGracePeriodSeconds.orValue(0)]
    + variables.containers.map(c, c.?livenessProbe.?terminationGracePeriodSeconds.orValue(0))
    + variables.containers.map(c, c.?startupProbe.?terminationGracePeriodSeconds.orValue(0))
  ).exists(s, s > {{ int64 $a.maxTerminationGracePeriodSeconds }}) ?
    ["terminationGracePeriodSeconds above {{ int64 $a.maxTerminationGracePeriodSeconds }} (tasks.admission.maxTerminationGracePeriodSeconds)"] : []
{{- end }}

{{- /* The resources that containers may have: those of every node, and those that the quota counts. */ -}}
{{- define "airdock.fenceResources" -}}
{{- $names := list "cpu" "memory" "ephemeral-storage" -}}
{{- range $key, $_ := .tasks.quota.hard -}}
{{- if hasPrefix "requests." $key }}{{ $names = append $names (trimPrefix "requests." $key) }}{{ end -}}
{{- end -}}
{{- without (uniq $names) "storage" | sortAlpha | toJson -}}
{{- end }}
