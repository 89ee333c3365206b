{{- /* The parts of the admission policies of task namespaces (fence.yaml). Call with (dict "root" $ "tasks" $tasks) unless noted. */ -}}

{{- /* The name of a policy and its binding. No other part of it contains a dot. */ -}}
{{- define "airdock.fencePart" -}}
{{- $name := printf "%s-%s" (include "airdock.fenceName" .root) .part -}}
{{- with include "airdock.otherTaskNamespace" . }}{{ $name = printf "%s.%s" $name . }}{{ end -}}
{{- $name -}}
{{- end }}

{{- /* The binding of a policy. Call with (dict "root" $ "tasks" $tasks "part" $part). */ -}}
{{- define "airdock.fenceBinding" -}}
{{- $name := include "airdock.fencePart" . | quote -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "airdock.labels" (dict "root" .root "component" "tasks") | nindent 4 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny]
  matchResources:
    namespaceSelector:
      matchLabels:
        airdock.dev/tasks: {{ include "airdock.tasksLabel" . | quote }}
{{- end }}

{{- /*
Each policy rejects one pod by its name, whatever the pod contains. A worker sends dry runs of these pods until all are rejected
(wait_for_fence.py): every worker may create pods, and whether a custom resource is valid only its controller knows. The name changes with the
kinds of objects that tasks.rbac adds, so that a policy from before the change does not count.
Call with (dict "root" $ "tasks" $tasks "part" $part).
*/ -}}
{{- define "airdock.forbiddenPod" -}}
{{- printf "%s-%s" (include "airdock.fencePart" .) (include "airdock.fencedObjects" . | sha256sum | trunc 8) -}}
{{- end }}

{{- /* The forbidden pods of all policies of a task namespace, by part, as JSON. */ -}}
{{- define "airdock.forbiddenPods" -}}
{{- $pods := dict -}}
{{- range concat (list "task-pods" "task-connections" "task-leases") (include "airdock.fencedObjects" . | empty | ternary list (list "task-objects")) -}}
{{- $_ := set $pods . (include "airdock.forbiddenPod" (merge (dict "part" .) $)) -}}
{{- end -}}
{{- toJson $pods -}}
{{- end }}

{{- /* The entry of resourceRules with which a policy that is not about pods judges its forbidden pod. */ -}}
{{- define "airdock.forbiddenPodRule" -}}
- {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], resourceNames: [{{ include "airdock.forbiddenPod" . | quote }}]}
{{- end }}

{{- /* The first entry of validations. */ -}}
{{- define "airdock.forbiddenPodValidation" -}}
{{- $pod := include "airdock.forbiddenPod" . -}}
- reason: Forbidden
  expression: request.?name.orValue("") != {{ $pod | quote }}
  message: "{{ $pod }}: Airdock release {{ .root.Release.Namespace }}/{{ .root.Release.Name }} rejects every pod with this name"
{{- end }}

{{- define "airdock.fenceExemptions" -}}
{{- if or .exemptUsers .exemptGroups -}}
matchConditions:
  {{- with .exemptUsers }}
  - name: not-an-exempt-user
    expression: '!(request.userInfo.username in {{ toJson . }})'
  {{- end }}
  {{- with .exemptGroups }}
  - name: not-in-an-exempt-group
    expression: '!request.userInfo.groups.exists(g, g in {{ toJson . }})'
  {{- end }}
{{- end -}}
{{- end }}

{{- /* Call with (list $expressions $names): the entries of `variables` in the order of the names. */ -}}
{{- define "airdock.fenceVariables" -}}
{{- $expressions := index . 0 -}}
{{- range index . 1 }}
- name: {{ . }}
  expression: |
    {{- get $expressions . | trim | nindent 4 }}
{{- end }}
{{- end }}
