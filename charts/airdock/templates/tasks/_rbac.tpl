{{- /*
What the Kubernetes operators need, in the namespaces of task pods alone, by feature. The verbs are those that the provider was seen to
use; 403 on any other is the proof that nothing asks for it. Websocket exec needs `create` from Kubernetes 1.35 on, `get` before.
*/ -}}
{{- define "airdock.workerRules" -}}
{{- with .rbac -}}
- {apiGroups: [""], resources: [pods], verbs: [create, get, list, patch, delete]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
{{- if .xcom }}
- {apiGroups: [""], resources: [pods/exec], verbs: [get, create]}
{{- end }}
{{- if .events }}
- {apiGroups: [""], resources: [events], verbs: [list]}
{{- end }}
{{- if .jobs }}
- {apiGroups: [batch], resources: [jobs], verbs: [create, delete]}
- {apiGroups: [batch], resources: [jobs/status], verbs: [get]}
{{- end }}
{{- end }}
{{- end }}

{{- /* The triggerer waits for pods that a worker made. */ -}}
{{- define "airdock.triggererRules" -}}
{{- with .rbac -}}
- {apiGroups: [""], resources: [pods], verbs: [get, delete]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
{{- if .events }}
- {apiGroups: [""], resources: [events], verbs: [list, watch]}
{{- end }}
{{- if .jobs }}
- {apiGroups: [batch], resources: [jobs/status], verbs: [get]}
{{- /* A deferred Job's XComs are read by the triggerer, a deferred pod's by the worker. */}}
{{- if .xcom }}
- {apiGroups: [""], resources: [pods/exec], verbs: [get, create]}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The Docker gateway makes pods and watches them; Leases tell the gateways of each other's end. */ -}}
{{- define "airdock.gatewayRules" -}}
- {apiGroups: [""], resources: [pods], verbs: [create, get, list, watch, delete]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get, list, patch, delete]}
{{- end }}

{{- /*
Call with (dict "scope" $scope "rules" "airdock.workerRules" "tasks" $tasks "accounts" $list): the rules follow from the task namespace's
settings.
*/ -}}
{{- define "airdock.taskRole" -}}
{{- include "airdock.role" (dict "scope" .scope "rules" (include .rules .tasks) "accounts" .accounts) -}}
{{- end }}

{{- /* A Role and who has it. Call with (dict "scope" $scope "rules" $text "accounts" $list); the scope has root and namespace, an account name and namespace. */ -}}
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
