{{- /*
The rules for the spec of a PersistentVolumeClaim: one that a worker creates (tasks.rbac.claims), and the one of an ephemeral volume.
_fence_rules.tpl explains them. Call with (dict "tasks" $tasks "claims" $list "claim" $path): CEL for the list, and for the claim of its item `v`.
*/ -}}
{{- define "airdock.fenceClaimRules" -}}
{{- $a := .tasks.admission -}}
{{- $classes := $a.storageClasses | default list -}}
claimSources: |
  ["dataSource", "dataSourceRef", "selector", "volumeName", "volumeAttributesClassName"]
    .filter(f, {{ .claims }}.exists(v, {{ .claim }}.?spec[?f].hasValue()))
    .map(f, f + " of a claim, which can use or copy another volume, or change its performance: remove it (no value allows this)")
# Without a class, a claim can use any free volume that has none. The API server adds a default class before this.
storageClasses: |
  {{ .claims }}.map(v, {{ .claim }}.?spec.?storageClassName.orValue(""))
    .filter(n, !({{ if has "*" $classes }}n != "" && true || {{ end }}n in {{ toJson $classes }}))
    .map(n, n == "" ? "a claim without a storage class (tasks.admission.storageClasses)" : "storage class " + n + " of a claim (tasks.admission.storageClasses)")
claimSizes: |
  {{ .claims }}.filter(v, ["requests", "limits"].exists(r,
      quantity(string({{ .claim }}.?spec.?resources[?r].?storage.orValue("0"))).isGreaterThan(quantity({{ toString $a.maxVolumeSize | quote }}))))
    .map(v, "a claim of more than {{ $a.maxVolumeSize }} (tasks.admission.maxVolumeSize)")
{{- end }}
