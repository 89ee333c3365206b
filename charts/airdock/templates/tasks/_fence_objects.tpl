{{- /*
The rules for objects beside pods that workers may create: Jobs, PersistentVolumeClaims and custom resources, by tasks.rbac. _fence_rules.tpl
explains them. Call with (dict "root" $ "tasks" $tasks).
*/ -}}
{{- define "airdock.fenceObjectRules" -}}
{{- $a := .tasks.admission -}}
# The API server labels Jobs itself.
objectLabels: |
  dyn(object).metadata.?labels.orValue(dyn({}))
    .filter(k, k.contains("/") && !({{ include "airdock.celKey" (dict "keys" $a.labels) }}) && !variables.controller
      && !(k.startsWith("batch.kubernetes.io/") && request.resource.resource == "jobs") && variables.old.?labels[?k] != dyn(object).metadata.?labels[?k])
    .map(k, "label " + k + " (tasks.admission.labels)")
objectAnnotations: |
  dyn(object).metadata.?annotations.orValue(dyn({}))
    .filter(k, k.matches("[./]") && !({{ include "airdock.celKey" (dict "keys" $a.annotations) }}) && !variables.controller && variables.old.?annotations[?k] != dyn(object).metadata.?annotations[?k])
    .map(k, "annotation " + k + " (tasks.admission.annotations)")
objectFinalizers: |
  dyn(object).metadata.?finalizers.orValue(dyn([]))
    .filter(f, !variables.controller && !(f in variables.old.?finalizers.orValue(dyn([]))) && f != "kubernetes.io/pvc-protection")
    .map(f, "finalizer " + f + ", with which an object outlives its deletion (tasks.admission.controllers)")
objectOwners: |
  dyn(object).metadata.?ownerReferences.orValue(dyn([]))
    .filter(o, !variables.controller && !(o in variables.old.?ownerReferences.orValue(dyn([]))))
    .map(o, "owner reference to " + o.kind + " " + o.name + " (tasks.admission.controllers)")
{{- if .tasks.rbac.jobs }}
# A Job with a selector takes over the pods of others. Another controller than Kubernetes' can create its pods elsewhere.
jobs: |
  ["manualSelector", "managedBy"].filter(f, request.resource.resource == "jobs" && dyn(object).spec[?f].orValue(dyn(false)) != dyn(false)
      && variables.before[?f].orValue(dyn(false)) != dyn(object).spec[f])
    .map(f, f + " of a Job: remove it (no value allows this)")
{{- end }}
{{- if .tasks.rbac.claims }}
{{ include "airdock.fenceClaimRules" (dict "tasks" .tasks "claims" "variables.claims" "claim" "v") }}
{{- end }}
{{- end }}

{{- /* The variables that the rules use, in order. */ -}}
{{- define "airdock.fenceObjectTerms" -}}
controller: |
  request.userInfo.username in {{ toJson .tasks.admission.controllers }}
old: |
  dyn(request.operation == "UPDATE" ? dyn(oldObject.metadata) : dyn({}))
before: |
  dyn(request.operation == "UPDATE" ? dyn(oldObject).?spec.orValue(dyn({})) : dyn({}))
claims: |
  request.resource.resource == "persistentvolumeclaims" && dyn(object).spec != variables.before ? [dyn(object)] : []
# The claims that other values mount in the containers of all DockerOperators.
reserved: |
  {{ include "airdock.valuesClaims" . }}.filter(n, request.resource.resource == "persistentvolumeclaims"
      && n == (request.operation == "DELETE" ? oldObject : object).metadata.name && request.operation != "UPDATE")
    .map(n, "a change of claim " + n + ", which tasks.claims or tasks.binds uses (tasks.admission.exemptUsers)")
{{- end }}

{{- /* The claims that tasks.claims and tasks.binds name, as a JSON list. */ -}}
{{- define "airdock.valuesClaims" -}}
{{- $claims := list -}}
{{- range list .tasks.claims .tasks.binds }}{{ range . }}{{ $claims = append $claims .claimName }}{{ end }}{{ end -}}
{{- uniq $claims | sortAlpha | toJson -}}
{{- end }}

{{- /* The objects to which the rules apply, as resourceRules; empty without a right to create such an object. */ -}}
{{- define "airdock.fencedObjects" -}}
{{- with .tasks.rbac -}}
{{- if .jobs }}
- {apiGroups: [batch], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [jobs]}
{{- end }}
{{- if .claims }}
- {apiGroups: [""], apiVersions: ["*"], operations: [CREATE, UPDATE, DELETE], resources: [persistentvolumeclaims]}
{{- end }}
{{- range .rules }}
- {apiGroups: {{ toJson .apiGroups }}, apiVersions: ["*"], operations: [CREATE, UPDATE], resources: {{ toJson .resources }}}
{{- end }}
{{- end }}
{{- end }}
