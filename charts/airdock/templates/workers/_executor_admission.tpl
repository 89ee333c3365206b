{{- /*
The rules of the admission policy for pods of KubernetesExecutor. It is the second line behind the check in the scheduler
(files/airdock_executor_pods.py) and needs none of its code: the pod that reaches the API server has to be the one of its worker group's
template, but for kubernetesExecutor.allowedOverrides. What the API server fills in by itself is left out or filled in here, too.

Each rule is a CEL expression that gives a list of strings: the fields that differ. The expressions keep to what Kubernetes 1.30 has.
*/ -}}

{{- /* A value as a CEL literal. Lists and maps of Kubernetes' CEL hold one type: dyn() lets them hold any. Call with the value. */ -}}
{{- define "airdock.celLiteral" -}}
{{- if kindIs "map" . -}}
{ {{- range $index, $key := keys . | sortAlpha }}{{ if $index }}, {{ end }}{{ toJson $key }}: dyn({{ include "airdock.celLiteral" (get $ $key) }}){{ end -}} }
{{- else if kindIs "slice" . -}}
[ {{- range $index, $item := . }}{{ if $index }}, {{ end }}dyn({{ include "airdock.celLiteral" $item }}){{ end -}} ]
{{- else if kindIs "float64" . -}}
{{ int64 . }}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end }}

{{- /* What the rules read, in order. */ -}}
{{- define "airdock.executorTerms" -}}
{{- $templates := dict -}}
{{- range $name, $group := include "airdock.workersOf" (dict "root" . "podPerTask" true) | fromJson -}}
{{- $_ := set $templates $name (include "airdock.executorPod" (dict "root" $ "name" $name "group" $group) | fromYaml) -}}
{{- end -}}
templates: |
  {{ include "airdock.celLiteral" $templates }}
group: |
  object.metadata.?labels[?"airdock.dev/worker-group"].orValue("")
ours: |
  variables.templates[?variables.group].orValue(dyn({"labels": dyn({}), "annotations": dyn({}), "spec": dyn({"containers": dyn([]), "volumes": dyn([])})}))
spec: |
  dyn(object.spec)
controller: |
  {{ include "airdock.celController" .Values.tasks }}
{{- end }}

{{- /* What a pod or its containers may have beside the template: fields that the API server or an admission plugin of its own sets. */ -}}
{{- define "airdock.executorRules" -}}
{{- $allowed := .Values.kubernetesExecutor.allowedOverrides -}}
{{- $container := list "image" "imagePullPolicy" "resources" "env" "envFrom" "volumeMounts" -}}
{{- $ofContainer := list -}}
{{- $ofPod := list "containers" "initContainers" "volumes" "tolerations" "imagePullSecrets" "serviceAccount" "priority" "priorityClassName" "preemptionPolicy" "overhead" | concat (include "airdock.openshift" . | empty | ternary list (list "securityContext")) -}}
{{- range $allowed -}}
{{- if has . $container }}{{ $ofContainer = append $ofContainer . }}{{ else }}{{ $ofPod = append $ofPod . }}{{ end -}}
{{- end -}}
{{- $lists := list "env" "envFrom" "volumeMounts" -}}
{{- $judged := list "terminationMessagePath" "terminationMessagePolicy" "resources" "ports" "securityContext" "livenessProbe" "readinessProbe" "startupProbe" "args" -}}
labels: |
  object.metadata.?labels.orValue({}).filter(k, k.contains("/") && variables.ours.labels[?k] != dyn(object.metadata).?labels[?k]).map(k, "metadata.labels[" + k + "]")
    + variables.ours.labels.filter(k, !(k in object.metadata.?labels.orValue({}))).map(k, "metadata.labels[" + k + "]")
annotations: |
  object.metadata.?annotations.orValue({})
    .filter(k, {{ include "airdock.celExecutorAnnotation" . }} && variables.ours.annotations[?k] != dyn(object.metadata).?annotations[?k])
    .map(k, "metadata.annotations[" + k + "]")
metadata: |
  ["finalizers", "ownerReferences", "deletionGracePeriodSeconds"].filter(k, k in dyn(object.metadata)).map(k, "metadata." + k)
pod: |
  variables.spec.filter(k, !(k in {{ toJson $ofPod }}) && variables.ours.spec[?k].orValue(dyn(null)) != variables.spec[k]).map(k, "spec." + k)
    + variables.ours.spec.filter(k, !(k in {{ toJson $ofPod }}) && !(k in variables.spec)).map(k, "spec." + k)
{{- if not (has "tolerations" $allowed) }}
tolerations: |
  variables.spec.?tolerations.orValue(dyn([]))
    .filter(t, !(t in variables.ours.spec.tolerations)
      && !(t.?key.orValue("") in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/memory-pressure"]))
    .map(t, "spec.tolerations[" + t.?key.orValue("") + "]")
{{- end }}
{{- if not (has "priorityClassName" $allowed) }}
# A cluster's default class is filled in; system classes push other pods off their nodes.
priorityClass: |
  [variables.spec.?priorityClassName.orValue("")].filter(n, n.startsWith("system-")
    && variables.spec.?priorityClassName != variables.ours.spec.?priorityClassName).map(n, "spec.priorityClassName")
{{- end }}
{{- if not (has "imagePullSecrets" $allowed) }}
imagePullSecrets: |
  variables.spec.?imagePullSecrets.orValue(dyn([]))
    .filter(s, !(s in variables.ours.spec.?imagePullSecrets.orValue(dyn([])){{ include "airdock.celRegistrySecret" (dict "root" . "name" "s.?name.orValue(\"\")" "account" "string(variables.ours.spec.serviceAccountName)") }})).map(s, "spec.imagePullSecrets[" + s.?name.orValue("") + "]")
{{- end }}
# One of the group's is as it is there; another may come beside them, of a kind that reaches neither the node nor a token.
volumes: |
  variables.spec.?volumes.orValue(dyn([]))
    .filter(v, variables.ours.spec.volumes.exists(o, o.name == v.name) ?
      variables.ours.spec.volumes.exists(o, o.name == v.name && {{ include "airdock.celOtherVolume" . }}) :
      {{ if has "volumes" $allowed }}!["configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"].exists(k, k in v){{ else }}true{{ end }})
    .map(v, "spec.volumes[" + v.name + "]")
    + variables.ours.spec.volumes.filter(o, !variables.spec.?volumes.orValue(dyn([])).exists(v, v.name == o.name)).map(o, "spec.volumes[" + o.name + "]")
containers: |
  (variables.spec.containers.map(c, c.name) != variables.ours.spec.containers.map(c, c.name) ? ["spec.containers"] : [])
    + (variables.spec.?initContainers.orValue(dyn([])).map(c, c.name) != variables.ours.spec.?initContainers.orValue(dyn([])).map(c, c.name) ? ["spec.initContainers"] : [])
base: |
  variables.spec.containers.map(c, variables.ours.spec.containers.filter(o, o.name == c.name).map(o,
    c.filter(k, !(k in {{ concat $lists $judged $ofContainer | toJson }}) && o[?k].orValue(dyn(null)) != c[k]).map(k, "spec.containers[base]." + k)
      + {{ toJson $lists }}.filter(k, o[?k].orValue(dyn([])).exists(e, !(e in c[?k].orValue(dyn([]))))).map(k, "spec.containers[base]." + k)
      {{- range $lists }}
      {{- if not (has . $allowed) }}
      + (c.?{{ . }}.orValue(dyn([])).exists(e, !(e in o.?{{ . }}.orValue(dyn([]))){{ if eq . "env" }} && e != dyn({"name": dyn("AIRFLOW_IS_K8S_EXECUTOR_POD"), "value": dyn("True")}){{ end }}) ? ["spec.containers[base].{{ . }}"] : [])
      {{- end }}
      {{- end }}
      + c.?volumeMounts.orValue(dyn([])).filter(m, variables.ours.spec.volumes.exists(v, v.name == m.name) && !(m in o.volumeMounts)).map(m, "spec.containers[base].volumeMounts[" + m.name + "]")
  )).map(found, found.map(fields, fields.join(",")).join(",")).join(",").split(",").filter(f, f != "")
initContainers: |
  variables.spec.?initContainers.orValue(dyn([])).map(c, variables.ours.spec.?initContainers.orValue(dyn([])).filter(o, o.name == c.name).map(o,
    c.filter(k, !(k in {{ without $judged "args" | toJson }}) && o[?k].orValue(dyn(null)) != c[k]).map(k, "spec.initContainers[" + c.name + "]." + k)
      + o.filter(k, !(k in c)).map(k, "spec.initContainers[" + c.name + "]." + k)
  )).map(found, found.map(fields, fields.join(",")).join(",")).join(",").split(",").filter(f, f != "")
# Handlers of probes run in the container, and those with a host make the kubelet connect to it.
handlers: |
  (variables.spec.containers + variables.spec.?initContainers.orValue(dyn([]))).map(c,
    (variables.ours.spec.containers + variables.ours.spec.?initContainers.orValue(dyn([]))).filter(o, o.name == c.name).map(o,
      ["livenessProbe", "readinessProbe", "startupProbe"].filter(p,
        c[?p].?exec.?command.orValue(dyn([])) != o[?p].?exec.?command.orValue(dyn([]))
        || c[?p].?httpGet.?path != o[?p].?httpGet.?path || c[?p].?httpGet.?host.orValue("") + c[?p].?tcpSocket.?host.orValue("") != ""
      ).map(p, "probes of container " + c.name).join(",")).join(",")).join(",").split(",").filter(f, f != "")
securityContext: |
  (variables.spec.containers + variables.spec.?initContainers.orValue(dyn([]))).filter(c,
    (variables.ours.spec.containers + variables.ours.spec.?initContainers.orValue(dyn([]))).exists(o, o.name == c.name
      && (c.?securityContext.orValue(dyn({})).exists(k, k != "procMount"{{ include "airdock.celAssignedField" . }} && c.securityContext[k] != o.?securityContext[?k].orValue(dyn(null)))
        || c.?securityContext.?procMount.orValue("Default") != o.?securityContext.?procMount.orValue("Default")
        || o.?securityContext.orValue(dyn({})).exists(k, !(k in c.?securityContext.orValue(dyn({})))))))
    .map(c, "securityContext of container " + c.name)
hostPorts: |
  (variables.spec.containers + variables.spec.?initContainers.orValue(dyn([]))).filter(c, c.?ports.orValue(dyn([])).exists(p, p.?hostPort.orValue(0) != 0))
    .map(c, "hostPort of container " + c.name)
ephemeralContainers: |
  object.spec.?ephemeralContainers.orValue([]).map(c, "ephemeral container " + c.name)
{{- end }}

{{- /* A CEL test whether the executor's policy judges annotation `k`: one with a dot or a slash, which others than Airflow read. */ -}}
{{- define "airdock.celExecutorAnnotation" -}}
k.matches("[./]") && !(k in {{ concat (list "kubernetes.io/limit-ranger") .Values.kubernetesExecutor.admission.annotations (include "airdock.assignedAnnotations" . | fromJsonArray) | toJson }})
{{- end }}

{{- /* The rule for a pod that exists: what an update changes of that which was judged when the pod was created. */ -}}
{{- define "airdock.executorUpdateRule" -}}
changes: |
  (object.spec != oldObject.spec ? ["spec"] : [])
    + [object, oldObject].map(o, o.metadata.?labels.orValue({})
        .filter(k, k.contains("/") && object.metadata.?labels[?k] != oldObject.metadata.?labels[?k])
        .map(k, "metadata.labels[" + k + "]").join(",")).join(",").split(",").filter(l, l != "")
    + [object, oldObject].map(o, o.metadata.?annotations.orValue({})
        .filter(k, !variables.controller && {{ include "airdock.celExecutorAnnotation" . }} && object.metadata.?annotations[?k] != oldObject.metadata.?annotations[?k])
        .map(k, "metadata.annotations[" + k + "]").join(",")).join(",").split(",").filter(a, a != "")
    + ["finalizers", "ownerReferences"].filter(f, !variables.controller
        && dyn(object.metadata)[?f].orValue(dyn([])).exists(e, !(e in dyn(oldObject.metadata)[?f].orValue(dyn([]))))).map(f, "metadata." + f)
{{- end }}
