{{- define "airdock.pod" -}}
{{- $root := .root -}}
{{- $c := .component -}}
{{- $values := $c.values -}}
{{- $volumes := include "airdock.overlay" (list $c.volumes $values.volumes) | fromJson -}}
{{- include "airdock.checkPod" (dict "root" $root "component" $c "volumes" $volumes) -}}
metadata:
  labels:
    {{- include "airdock.selectorLabels" .scope | nindent 4 }}
    {{- with include "airdock.overlay" (list $root.Values.commonLabels $values.podLabels $c.labels) | fromJson }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "airdock.overlay" (list $values.podAnnotations $c.podAnnotations) | fromJson }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $c.restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  serviceAccountName: {{ include "airdock.accountName" (dict "root" $root "name" $c.name "values" $values) }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "airdock.pullSecrets" $root | fromJsonArray }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    {{- if not (include "airdock.assignsUsers" (dict "root" $root "values" $values)) }}
    runAsUser: {{ $c.runAsUser | default 50000 }}
    runAsGroup: {{ $c.runAsGroup | default 0 }}
    fsGroup: {{ $c.runAsGroup | default 0 }}
    {{- end }}
    fsGroupChangePolicy: OnRootMismatch
    {{- with $c.supplementalGroups }}
    supplementalGroups: {{ toJson . }}
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  terminationGracePeriodSeconds: {{ include "airdock.gracePeriod" $c }}
  {{- if hasKey $c "hostUsers" }}
  hostUsers: {{ $c.hostUsers }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" "schedulerName" "hostAliases" "dnsPolicy" "dnsConfig" }}
  {{- with get $values $key | default (get $c $key) }}
  {{ $key }}: {{ toJson . }}
  {{- end }}
  {{- end }}
  {{- $extra := include "airdock.extraContainers" $values | fromJsonArray }}
  {{- if or $extra $c.initContainers }}
  initContainers:
    {{- range $extra }}
    - {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- range $c.initContainers }}
    {{- /* Those that run Airflow have its environment, the user's part of it too; one with a token talks to the API server only. */}}
    {{- $shared := and (eq true .airflow) (not (hasKey (.volumeMounts | default dict) "token")) | ternary (pick $values "env" "envFrom" "volumeMounts") dict }}
    - {{- include "airdock.container" (dict "root" $root "container" . "resources" $values.resources "values" $shared) | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - {{- include "airdock.container" (dict "root" $root "container" $c.container "resources" $values.resources "values" $values "token" $c.token) | nindent 6 }}
  {{- if or $volumes $c.token }}
  volumes:
    {{- range $name, $source := $volumes }}
    - name: {{ $name | quote }}
      {{- toYaml $source | nindent 6 }}
    {{- end }}
    {{- if $c.token }}
    - name: token
      {{- include "airdock.tokenVolume" . | nindent 6 }}
    {{- end }}
  {{- end }}
{{- end }}

{{- /* The seconds that a pod may take to end. Call with its component. */ -}}
{{- define "airdock.gracePeriod" -}}
{{- .values.terminationGracePeriodSeconds | default .terminationGracePeriodSeconds | default 30 -}}
{{- end }}

{{- /* The content that automountServiceAccountToken would mount, as an explicit volume: only one container mounts it. */ -}}
{{- define "airdock.tokenVolume" -}}
projected:
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3607}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}
