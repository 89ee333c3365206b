{{- /* The rules for updates, and for metadata, which can change without the spec. */ -}}
{{- define "airdock.fenceUpdateRules" -}}
{{- $labels := concat (include "airdock.gatewayLabels" . | fromJsonArray) (.tasks.admission.labels | default list) -}}
{{- $where := dict "root" .root "namespace" .tasks.namespace -}}
{{- $labels = concat $labels (include "airdock.taskLabels" $where | fromJsonArray) -}}
{{- $annotations := concat (list "airdock.dev/*" "kubernetes.io/limit-ranger") (.tasks.admission.annotations | default list) -}}
{{- $annotations = concat $annotations (include "airdock.assignedAnnotations" .root | fromJsonArray) -}}
{{- /* What the gateway's pods have by other values, task pods may have. */ -}}
{{- range include "airdock.groupsOfTasks" $where | fromJsonArray -}}
{{- $annotations = concat $annotations (keys (.tasks.podAnnotations | default dict) | sortAlpha) -}}
{{- end -}}
labels: |
  object.metadata.?labels.orValue({})
    .filter(k, k.contains("/") && !({{ include "airdock.celKey" (dict "keys" $labels) }})
        && !(variables.controller && !k.startsWith("airdock.dev/") && (request.operation == "UPDATE" || k.startsWith("batch.kubernetes.io/")))
      || k == "app.kubernetes.io/instance" && object.metadata.labels[k] == {{ toJson .root.Release.Name }})
    .filter(k, request.operation == "CREATE" || oldObject.metadata.?labels[?k] != object.metadata.?labels[?k])
    .map(k, "label " + k + " (tasks.admission.labels)")
# It decides which Docker gateway watches a pod and which one deletes it. A gateway changes no label of a pod that exists.
gateway: |
  object.metadata.?labels[?"airdock.dev/gateway"] in (request.operation == "CREATE" ?
      [optional.none(), optional.of(variables.caller)] : [oldObject.metadata.?labels[?"airdock.dev/gateway"]]) ? [] :
    ["label airdock.dev/gateway, which only the Docker gateway in the pod with this uid may set, with the token of its pod (no value allows this)"]
# Runtimes, network plugins and webhooks read annotations with a dot or a slash. Before Kubernetes 1.34 the API server writes one for each AppArmor profile.
annotations: |
  object.metadata.?annotations.orValue({})
    .filter(k, k.matches("[./]") && !({{ include "airdock.celKey" (dict "keys" $annotations) }}))
    .filter(k, !(variables.controller && (request.operation == "UPDATE" || k.startsWith("batch.kubernetes.io/"))))
    .filter(k, request.operation == "CREATE" || oldObject.metadata.?annotations[?k] != object.metadata.?annotations[?k])
    .filter(k, !(k.startsWith("container.apparmor.security.beta.kubernetes.io/") && (object.metadata.annotations[k] == "runtime/default"
      || object.metadata.annotations[k].startsWith("localhost/") && {{ include "airdock.celAllowed" (dict "name" "object.metadata.annotations[k].substring(10)" "list" .tasks.admission.localhostProfiles) }})))
    .map(k, "annotation " + k + " (tasks.admission.annotations)")
finalizers: |
  object.metadata.?finalizers.orValue([])
    .filter(f, !(variables.controller && (request.operation == "UPDATE" || f == "batch.kubernetes.io/job-tracking")))
    .filter(f, request.operation == "CREATE" || !(f in oldObject.metadata.?finalizers.orValue([])))
    .map(f, "finalizer " + f + ", with which a pod outlives its deletion (tasks.admission.controllers)")
ownerReferences: |
  object.metadata.?ownerReferences.orValue([])
    .filter(o, !variables.controller && (request.operation == "CREATE" || !(o in oldObject.metadata.?ownerReferences.orValue([]))))
    .map(o, "owner reference to " + o.kind + " " + o.name + " (tasks.admission.controllers)")
fixedImages: |
  request.operation == "UPDATE" && (
      object.spec.containers.map(c, c.image) != oldObject.spec.containers.map(c, c.image)
      || object.spec.?initContainers.orValue([]).map(c, c.image) != oldObject.spec.?initContainers.orValue([]).map(c, c.image)) ?
    ["the image of a running pod cannot be changed (no value allows this)"] : []
{{- end }}

{{- /* A CEL test of the key `k`. A key that ends with /* stands for all that begin so. Call with (dict "keys" $keys). */ -}}
{{- define "airdock.celKey" -}}
{{- $exact := list -}}
{{- $prefixes := list -}}
{{- range uniq .keys -}}
{{- if hasSuffix "/*" . }}{{ $prefixes = append $prefixes (trimSuffix "*" .) }}{{ else }}{{ $exact = append $exact . }}{{ end -}}
{{- end -}}
{{- has "*" $exact | ternary "true" (printf "k in %s || %s.exists(p, k.startsWith(p))" (toJson $exact) (toJson $prefixes)) -}}
{{- end }}

{{- /* The labels that the Docker gateway sets on its pods. No selector uses one of them without app.kubernetes.io/instance. */ -}}
{{- define "airdock.gatewayLabels" -}}
{{- $labels := list "app.kubernetes.io/managed-by" -}}
{{- range list "gateway" "container-id" "worker-group" "network" "retrieve-output" "xcom-all" "dag-id" "task-id" "run-id" "map-index" "try-number" -}}
{{- $labels = append $labels (printf "airdock.dev/%s" .) -}}
{{- end -}}
{{- toJson $labels -}}
{{- end }}

{{- /* "yes" if a group of the task namespace uses user namespaces, otherwise empty. */ -}}
{{- define "airdock.fenceUserNamespaces" -}}
{{- range include "airdock.groupsOfTasks" (dict "root" .root "namespace" .tasks.namespace) | fromJsonArray -}}
{{- if has .tasks.userNamespaces (list "auto" "on") }}yes{{ end -}}
{{- end -}}
{{- end }}
