{{- /*
The pod of a worker group's template as the API server stores it, for _executor_admission.tpl: each of its volumes has to come back unchanged. The
defaults are those of kubernetes/kubernetes pkg/apis/core/v1/defaults.go.
*/ -}}

{{- /* A group's template with what the API server adds to each pod. Call with (dict "root" $ "name" $name "group" $group). */ -}}
{{- define "airdock.executorPod" -}}
{{- $pod := include "airdock.podTemplate" . | fromYaml -}}
{{- $spec := merge $pod.spec (dict "dnsPolicy" "ClusterFirst" "schedulerName" "default-scheduler" "tolerations" list) -}}
{{- range concat $spec.containers ($spec.initContainers | default list) -}}
{{- range .env }}{{ if not .value }}{{ $_ := unset . "value" }}{{ end }}{{ with .valueFrom }}{{ include "airdock.storedFields" (list .) }}{{ end }}{{ end -}}
{{- end -}}
{{- $volumes := list -}}
{{- range $spec.volumes }}{{ $volumes = append $volumes (include "airdock.storedVolume" . | fromYaml) }}{{ end -}}
{{- $_ := set $spec "volumes" $volumes -}}
{{- dict "labels" $pod.metadata.labels "annotations" ($pod.metadata.annotations | default dict) "spec" $spec | toYaml -}}
{{- end }}

{{- /* A volume as the API server stores it, but for fields that are false, 0 or "". Call with the volume. */ -}}
{{- define "airdock.storedVolume" -}}
{{- $defaults := dict -}}
{{- range list "configMap" "downwardAPI" "projected" "secret" }}{{ $_ := set $defaults . (dict "defaultMode" 420) }}{{ end -}}
{{- $_ := set $defaults "azureDisk" (dict "cachingMode" "ReadWrite" "fsType" "ext4" "kind" "Shared") -}}
{{- $_ := set $defaults "iscsi" (dict "iscsiInterface" "default") -}}
{{- $_ := set $defaults "rbd" (dict "keyring" "/etc/ceph/keyring" "pool" "rbd" "user" "admin") -}}
{{- $_ := set $defaults "scaleIO" (dict "fsType" "xfs" "storageMode" "ThinProvisioned") -}}
{{- $volume := dict "name" .name -}}
{{- range $kind, $source := omit . "name" -}}
{{- $stored := merge (include "airdock.withoutFalse" $source | fromYaml) (get $defaults $kind | default dict) -}}
{{- $sources := list -}}
{{- range $stored.sources -}}
{{- $projection := dict -}}
{{- range $name, $what := . -}}
{{- $_ := set $projection $name (include "airdock.withoutFalse" $what | fromYaml) -}}
{{- end -}}
{{- with $projection.serviceAccountToken }}{{ $_ := set . "expirationSeconds" (.expirationSeconds | default 3600) }}{{ end -}}
{{- include "airdock.storedFields" ($projection.downwardAPI | default dict).items -}}
{{- $sources = append $sources $projection -}}
{{- end -}}
{{- with $sources }}{{ $_ := set $stored "sources" . }}{{ end -}}
{{- if eq $kind "downwardAPI" }}{{ include "airdock.storedFields" $stored.items }}{{ end -}}
{{- $_ := set $volume $kind $stored -}}
{{- end -}}
{{- toYaml $volume -}}
{{- end }}

{{- /* A map without its fields that are false, 0, "", empty or null: the API server stores few of them. Call with the map. */ -}}
{{- define "airdock.withoutFalse" -}}
{{- $kept := dict -}}
{{- range $field, $value := . -}}
{{- if or $value (eq $field "optional") }}{{ $_ := set $kept $field $value }}{{ end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end }}

{{- /* Set the defaults of references to fields of the pod. Gives nothing. Call with a list of variables or of files that may have them. */ -}}
{{- define "airdock.storedFields" -}}
{{- range . -}}
{{- with .fieldRef }}{{ $_ := set . "apiVersion" (.apiVersion | default "v1") }}{{ end -}}
{{- with .resourceFieldRef }}{{ $_ := set . "divisor" (.divisor | default "0") }}{{ end -}}
{{- end -}}
{{- end }}

{{- /*
A CEL test whether volume `v` differs from volume `o` of the group's. Sizes are the quota's, and the API server writes them in another way. A claim
template gets its own defaults and an empty metadata.
*/ -}}
{{- define "airdock.celOtherVolume" -}}
!o.all(k, k in v && (k == "name" ? true : k == "ephemeral" ?
            o.ephemeral.volumeClaimTemplate.spec.all(f, f in v.ephemeral.volumeClaimTemplate.spec)
              && v.ephemeral.volumeClaimTemplate.spec.all(f, f in ["resources", "volumeMode"] || v.ephemeral.volumeClaimTemplate.spec[?f] == o.ephemeral.volumeClaimTemplate.spec[?f])
              && ["annotations", "labels"].all(f, v.ephemeral.volumeClaimTemplate.?metadata[?f] == o.ephemeral.volumeClaimTemplate.?metadata[?f]) :
            o[k].all(f, f in v[k])
              && v[k].all(f, f == "sizeLimit" || v[k][?f] == o[k][?f] || !(f in o[k]) && v[k][f] in [dyn(false), dyn(""), dyn(0)])))
{{- end }}
