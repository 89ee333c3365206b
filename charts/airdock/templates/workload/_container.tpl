{{- define "airdock.container" -}}
{{- $c := .container -}}
{{- $values := .values | default dict -}}
{{- $image := get .root.Values.images $c.image -}}
name: {{ $c.name }}
image: {{ include "airdock.image" (dict "root" .root "image" $image) | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- range $key := list "restartPolicy" "command" "args" }}
{{- with get $c $key }}
{{ $key }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- with concat ($c.envFrom | default list) ($values.envFrom | default list) }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "airdock.overlay" (list $c.env (include "airdock.literalEnv" $values.env | fromJson)) | fromJson }}
env:
  {{- /* Sorted by name: $(NAME) can refer to variables before it. */}}
  {{- range $name, $value := . }}
  - name: {{ $name | quote }}
    {{- if kindIs "map" $value }}
    {{- toYaml $value | nindent 4 }}
    {{- else }}
    value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with $c.ports }}
ports:
  {{- range $name, $port := . }}
  {{- if kindIs "map" $port }}
  - {{ merge (dict "name" $name) $port | toJson }}
  {{- else }}
  - {name: {{ $name }}, containerPort: {{ $port }}}
  {{- end }}
  {{- end }}
{{- end }}
{{- range $key := list "startupProbe" "readinessProbe" "livenessProbe" "lifecycle" }}
{{- with get $c $key }}
{{ $key }}:
  {{- include "airdock.overlay" (list . (get $values $key)) | fromJson | toYaml | nindent 2 }}
{{- end }}
{{- end }}
resources:
  {{- include "airdock.merge" (dict "base" dict "over" ($c.resources | default .resources)) | fromJson | toYaml | nindent 2 }}
securityContext:
  {{- $restricted := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) }}
  {{- toYaml ($c.securityContext | default $restricted) | nindent 2 }}
{{- if or $values.volumeMounts $c.volumeMounts .token }}
volumeMounts:
  {{- range $key, $mount := include "airdock.overlay" (list $c.volumeMounts $values.volumeMounts) | fromJson }}
  - {{- toYaml (include "airdock.overlay" (list (dict "name" $key) $mount) | fromJson) | nindent 4 }}
  {{- end }}
  {{- if .token }}
  - {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
  {{- end }}
{{- end }}
{{- end }}
