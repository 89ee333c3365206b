{{- /* A CEL test of a name against a list. Call with (dict "name" "n" "list" $names); "*" allows all. */ -}}
{{- define "airdock.celAllowed" -}}
{{- has "*" .list | ternary "true" (printf "%s in %s" .name (toJson (.list | default list))) -}}
{{- end }}

{{- /* A CEL test whether a controller of the cluster or a node asks. Call with the values `tasks`. */ -}}
{{- define "airdock.celController" -}}
request.userInfo.username == "system:kube-controller-manager" || request.userInfo.username in {{ toJson .admission.controllers }} ||
    request.userInfo.?groups.orValue([]).exists(g, g in ["system:serviceaccounts:kube-system", "system:nodes"])
{{- end }}

{{- /* The variables that the rules use, in order. */ -}}
{{- define "airdock.fenceTerms" -}}
# In namespaces that the chart creates, a label contains the name: Kustomize can change a label, but nothing inside an expression.
account: |
  namespaceObject.metadata.?labels[?"airdock.dev/task-account"].orValue("{{ include "airdock.fullname" .root }}-task")
# Controllers of the cluster, and nodes. A DAG author is none of them, but a Job's controller copies what an author wrote.
controller: |
  {{ include "airdock.celController" .tasks }}
{{ include "airdock.fenceCaller" . }}
changed: |
  request.operation == "CREATE" || object.spec != oldObject.spec
containers: |
  dyn(object.spec.containers) + dyn(object.spec.?initContainers.orValue([]))
volumes: |
  dyn(object.spec.?volumes.orValue([]))
# Ten thousand variables would cost the API server seconds.
parts: |
  variables.containers.map(c, 1 + c.?env.orValue([]).size() + c.?envFrom.orValue([]).size()).sum()
    + variables.volumes.map(v, 1 + v.?projected.?sources.orValue([]).size()).sum()
secretNames: |
  (variables.containers.map(c, (
      c.?env.orValue([]).map(e, e.?valueFrom.?secretKeyRef.?name.orValue(""))
      + c.?envFrom.orValue([]).map(e, e.?secretRef.?name.orValue(""))
    ).join(","))
    + variables.volumes.map(v, v.?secret.?secretName.orValue(""))
    + variables.volumes.map(v, v.?projected.?sources.orValue([]).map(s, s.?secret.?name.orValue("")).join(","))
    + variables.volumes.map(v, v.?csi.?nodePublishSecretRef.?name.orValue(""))
  ).join(",").split(",").filter(n, n != "")
configMapNames: |
  (variables.containers.map(c, (
      c.?env.orValue([]).map(e, e.?valueFrom.?configMapKeyRef.?name.orValue(""))
      + c.?envFrom.orValue([]).map(e, e.?configMapRef.?name.orValue(""))
    ).join(","))
    + variables.volumes.map(v, v.?configMap.?name.orValue(""))
    + variables.volumes.map(v, v.?projected.?sources.orValue([]).map(s, s.?configMap.?name.orValue("")).join(","))
  ).join(",").split(",").filter(n, n != "")
imageNames: |
  variables.containers.map(c, c.?image.orValue(""))
    + variables.volumes.map(v, v.?image.?reference.orValue("")).filter(i, i != "")
{{- end }}

{{- /*
The uid of the pod that the request comes from, empty for a user or for a token that is not bound to a pod. The API server takes it from the
token, which contains it since Kubernetes 1.22.
*/ -}}
{{- define "airdock.fenceCaller" -}}
caller: |
  request.userInfo.?extra[?"authentication.kubernetes.io/pod-uid"].orValue([]).join(",")
{{- end }}
