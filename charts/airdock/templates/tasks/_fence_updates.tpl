{{- /* The rules for updates, and for labels, which can change without the spec. */ -}}
{{- define "airdock.fenceUpdateRules" -}}
{{- $labels := concat (include "airdock.gatewayLabels" . | fromJsonArray) (.tasks.admission.labels | default list) -}}
labels: |
  object.metadata.?labels.orValue({})
    .filter(k, k.startsWith("airdock.dev/") && !({{ include "airdock.celAllowed" (dict "name" "k" "list" $labels) }})
      || k == "app.kubernetes.io/instance" && object.metadata.labels[k] == {{ toJson .root.Release.Name }})
    .filter(k, request.operation == "CREATE" || oldObject.metadata.?labels[?k].orValue("") != object.metadata.labels[k])
    .map(k, "label " + k + " would make the pod look like a part of the release (tasks.admission.labels)")
fixedImages: |
  request.operation == "UPDATE" && (
      object.spec.containers.map(c, c.image) != oldObject.spec.containers.map(c, c.image)
      || object.spec.?initContainers.orValue([]).map(c, c.image) != oldObject.spec.?initContainers.orValue([]).map(c, c.image)) ?
    ["the image of a running pod cannot be changed (no value allows this)"] : []
{{- end }}

{{- /* The labels that the Docker gateway sets on its pods. No selector uses one of them without app.kubernetes.io/instance. */ -}}
{{- define "airdock.gatewayLabels" -}}
{{- $labels := list -}}
{{- range list "gateway" "container-id" "worker-group" "network" "retrieve-output" "xcom-all" "dag-id" "task-id" "run-id" "map-index" "try-number" -}}
{{- $labels = append $labels (printf "airdock.dev/%s" .) -}}
{{- end -}}
{{- toJson $labels -}}
{{- end }}
