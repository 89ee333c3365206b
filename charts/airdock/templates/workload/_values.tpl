{{- /* Where a pod's values come from: podDefaults, for workers workerDefaults, and the component's block. */ -}}

{{- /*
The key that sets a value, for messages: the block that is merged last, of those that have it. Call with
(dict "root" $ "key" "workers.default" "path" (list "volumes" "cache")).
*/ -}}
{{- define "airdock.valueKey" -}}
{{- $blocks := list "podDefaults" -}}
{{- if hasPrefix "workers." .key }}{{ $blocks = append $blocks "workerDefaults" }}{{ end -}}
{{- $found := .key -}}
{{- range $block := append $blocks .key -}}
{{- $value := $.root.Values -}}
{{- range concat (splitList "." $block) $.path -}}
{{- /* get gives "" for a key that is not there. */ -}}
{{- $there := hasKey (kindIs "map" $value | ternary $value dict) . -}}
{{- $value = $there | ternary (get (kindIs "map" $value | ternary $value dict) .) nil -}}
{{- end -}}
{{- if not (kindIs "invalid" $value) }}{{ $found = $block }}{{ end -}}
{{- end -}}
{{- prepend .path $found | join "." -}}
{{- end }}

{{- /* All blocks of pods, merged, as a JSON map by their keys. */ -}}
{{- define "airdock.podBlocks" -}}
{{- $blocks := dict -}}
{{- if .Values.controlPlane.enabled -}}
{{- range $component := concat (include "airdock.airflowComponents" . | fromJsonArray) (include "airdock.autoscales" . | empty | ternary list (list "autoscaler")) -}}
{{- $_ := set $blocks (printf "controlPlane.%s" (camelcase $component | untitle)) (include "airdock.controlPlaneValues" (dict "root" $ "component" $component) | fromJson) -}}
{{- end -}}
{{- if .Values.database.cleanup.enabled -}}
{{- $_ := set $blocks "database.cleanup" (include "airdock.mergePods" (list $.Values.podDefaults $.Values.database.cleanup) | fromJson) -}}
{{- end -}}
{{- if .Values.tests.enabled }}{{ $_ := set $blocks "tests" (include "airdock.mergePods" (list $.Values.podDefaults $.Values.tests) | fromJson) }}{{ end -}}
{{- if include "airdock.pooled" . -}}
{{- $_ := set $blocks "database.pooler" (include "airdock.mergePods" (list $.Values.podDefaults $.Values.database.pooler) | fromJson) -}}
{{- end -}}
{{- end -}}
{{- if include "airdock.exported" . -}}
{{- $_ := set $blocks "metrics.airflow" (include "airdock.mergePods" (list .Values.podDefaults .Values.metrics.airflow) | fromJson) -}}
{{- end -}}
{{- range $store := list "database" "broker" -}}
{{- if include "airdock.embedded" (dict "root" $ "store" $store) -}}
{{- $_ := set $blocks (printf "%s.embedded" $store) (include "airdock.mergePods" (list $.Values.podDefaults (get $.Values $store).embedded) | fromJson) -}}
{{- end -}}
{{- end -}}
{{- if include "airdock.backsUp" . -}}
{{- $_ := set $blocks "database.embedded.backup" (include "airdock.mergePods" (list $.Values.podDefaults $.Values.database.embedded.backup) | fromJson) -}}
{{- end -}}
{{- range $name, $group := include "airdock.workers" . | fromJson }}{{ $_ := set $blocks (printf "workers.%s" $name) $group }}{{ end -}}
{{- toJson $blocks -}}
{{- end }}

{{- /* The components of the control plane that are Airflow's own, as a JSON list. */ -}}
{{- define "airdock.airflowComponents" -}}
["api-server", "scheduler", "dag-processor", "triggerer"]
{{- end }}

{{- /* The name of a component's service account. Call with (dict "root" $ "name" "scheduler" "values" $block). */ -}}
{{- define "airdock.accountName" -}}
{{- (.values.serviceAccount | default dict).name | default (printf "%s-%s" (include "airdock.fullname" .root) .name) -}}
{{- end }}

{{- /* The values of a component of the control plane, as JSON, without `replicas` if Kubernetes sets it. Call as airdock.controlPlaneAccount. */ -}}
{{- define "airdock.controlPlaneValues" -}}
{{- $values := include "airdock.mergePods" (list .root.Values.podDefaults (get .root.Values.controlPlane (camelcase .component | untitle))) | fromJson -}}
{{- if include "airdock.horizontalAutoscaling" . | fromJson }}{{ $_ := unset $values "replicas" }}{{ end -}}
{{- toJson $values -}}
{{- end }}

{{- /* The block `autoscaling` of a component of the control plane with its defaults, as JSON; {} if it is off. Call as airdock.controlPlaneAccount. */ -}}
{{- define "airdock.horizontalAutoscaling" -}}
{{- $given := (get .root.Values.controlPlane (camelcase .component | untitle)).autoscaling | default dict -}}
{{- $block := dict -}}
{{- if eq true $given.enabled -}}
{{- $block = dict "min" ($given.min | default 1 | int) "max" ($given.max | default 3 | int) "cpuPercent" ($given.cpuPercent | default 80 | int) -}}
{{- end -}}
{{- toJson $block -}}
{{- end }}

{{- /* The name of the account of a component of the control plane. Call with (dict "root" $ "component" "api-server"). */ -}}
{{- define "airdock.controlPlaneAccount" -}}
{{- include "airdock.accountName" (dict "root" .root "name" .component "values" (get .root.Values.controlPlane (camelcase .component | untitle))) -}}
{{- end }}
