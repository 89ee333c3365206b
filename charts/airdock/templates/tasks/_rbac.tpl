{{- /*
The permissions of the Kubernetes operators, in task namespaces only, by feature: the verbs that the provider was observed to use, and no
others. Exec and attach over a WebSocket need `create` from Kubernetes 1.35 on, `get` before.
*/ -}}
{{- define "airdock.workerRules" -}}
{{- with .rbac -}}
- {apiGroups: [""], resources: [pods], verbs: [create, get, list, patch, delete]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
{{- if or .xcom .podExec }}
- {apiGroups: [""], resources: [pods/exec], verbs: [get, create]}
{{- end }}
{{- if .events }}
- {apiGroups: [""], resources: [events], verbs: [list]}
{{- end }}
{{- if .jobs }}
- {apiGroups: [batch], resources: [jobs], verbs: [create, patch, delete]}
- {apiGroups: [batch], resources: [jobs/status], verbs: [get]}
{{- end }}
{{- if .claims }}
- {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [create, delete]}
{{- end }}
{{- range .rules }}
- {{ pick . "apiGroups" "resources" "verbs" | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The triggerer waits for pods that workers created. */ -}}
{{- define "airdock.triggererRules" -}}
{{- with .rbac -}}
- {apiGroups: [""], resources: [pods], verbs: [get, delete]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
{{- if .events }}
- {apiGroups: [""], resources: [events], verbs: [list, watch]}
{{- end }}
{{- if .jobs }}
- {apiGroups: [batch], resources: [jobs/status], verbs: [get]}
{{- /* The triggerer reads the XComs of a deferred Job; those of a deferred pod are read by the worker. */}}
{{- if .xcom }}
- {apiGroups: [""], resources: [pods/exec], verbs: [get, create]}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The Docker gateway creates and watches pods. A gateway that stops to renew its Lease is dead, and another one cleans up. */ -}}
{{- define "airdock.gatewayRules" -}}
- {apiGroups: [""], resources: [pods], verbs: [create, get, list, watch, delete]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
{{- if eq true .stdin }}
- {apiGroups: [""], resources: [pods/attach], verbs: [get, create]}
{{- end }}
- {apiGroups: [""], resources: [events], verbs: [list]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get, list, patch, delete]}
{{- end }}

{{- /*
Call with (dict "scope" $scope "rules" "airdock.workerRules" "tasks" $tasks "accounts" $list): the rules follow from the task namespace's
settings.
*/ -}}
{{- define "airdock.taskRole" -}}
{{- include "airdock.role" (dict "scope" .scope "rules" (include .rules .tasks) "accounts" .accounts) -}}
{{- end }}

{{- /*
A Role and its RoleBinding. Call with (dict "scope" $scope "rules" $text "accounts" $list): the scope has root, name and namespace, an
account has name and namespace.
*/ -}}
{{- define "airdock.role" -}}
{{- $root := .scope.root -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "airdock.metadata" .scope | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "airdock.metadata" .scope | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ printf "%s-%s" (include "airdock.fullname" $root) .scope.name | quote }}
subjects:
  {{- range .accounts }}
  - {kind: ServiceAccount, name: {{ .name | quote }}, namespace: {{ .namespace | quote }}}
  {{- end }}
{{- end }}
