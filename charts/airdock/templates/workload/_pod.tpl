{{- define "airdock.pod" -}}
{{- $root := .root -}}
{{- $c := .component -}}
{{- $values := $c.values -}}
{{- $volumes := include "airdock.overlay" (list $c.volumes $values.volumes) | fromJson -}}
{{- include "airdock.checkMounts" (dict "component" $c "volumes" $volumes) -}}
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
  serviceAccountName: {{ include "airdock.fullname" $root }}-{{ $c.name }}
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
    runAsUser: {{ $c.runAsUser | default 50000 }}
    runAsGroup: {{ $c.runAsGroup | default 0 }}
    fsGroup: {{ $c.runAsGroup | default 0 }}
    fsGroupChangePolicy: OnRootMismatch
    {{- with $c.supplementalGroups }}
    supplementalGroups: {{ toJson . }}
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | default $c.terminationGracePeriodSeconds | default 30 }}
  {{- if hasKey $c "hostUsers" }}
  hostUsers: {{ $c.hostUsers }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" }}
  {{- with get $values $key | default (get $c $key) }}
  {{ $key }}: {{ toJson . }}
  {{- end }}
  {{- end }}
  {{- with $c.initContainers }}
  initContainers:
    {{- range . }}
    - {{- include "airdock.container" (dict "root" $root "container" . "resources" $values.resources) | nindent 6 }}
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

{{- /* Fails if the API server would reject the main container's mounts. Call with (dict "component" $c "volumes" $volumes). */ -}}
{{- define "airdock.checkMounts" -}}
{{- $c := .component -}}
{{- $there := concat (keys .volumes) (keys ($c.claims | default dict)) (ternary (list "token") list (eq true $c.token)) -}}
{{- $problems := list -}}
{{- $taken := dict -}}
{{- range $key, $mount := include "airdock.overlay" (list $c.container.volumeMounts $c.values.volumeMounts) | fromJson -}}
{{- $path := trimSuffix "/" ($mount.mountPath | default "") -}}
{{- if not (has ($mount.name | default $key) $there) -}}
{{- $problems = append $problems (printf "%s.volumeMounts.%s: the volume %q does not exist. Add it under %s.volumes, or use one of: %s." $c.key $key ($mount.name | default $key) $c.key (join ", " (sortAlpha $there))) -}}
{{- end -}}
{{- if not $mount.mountPath -}}
{{- $problems = append $problems (printf "%s.volumeMounts.%s.mountPath: is missing. Set the path in the container." $c.key $key) -}}
{{- else if hasKey $taken $path -}}
{{- $problems = append $problems (printf "%s.volumeMounts.%s.mountPath: %s is also the mount path of %s. Use another one." $c.key $key $path (get $taken $path)) -}}
{{- end -}}
{{- $_ := set $taken $path $key -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nairdock: %d problem(s) in the values:\n  - %s\n" (len $problems) (join "\n  - " $problems)) -}}
{{- end -}}
{{- end }}

{{- /* The content that automountServiceAccountToken would mount, as an explicit volume: only one container mounts it. */ -}}
{{- define "airdock.tokenVolume" -}}
projected:
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3607}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}
