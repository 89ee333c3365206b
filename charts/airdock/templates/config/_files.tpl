{{- /* The data of the ConfigMap that every Airflow component mounts at /opt/airflow/config. */ -}}
{{- define "airdock.configData" -}}
airflow.cfg: {{ include "airdock.text" (include "airdock.airflowCfg" .) }}
airflow_local_settings.py: |
  {{- .Files.Get "files/airflow_local_settings.py" | nindent 2 }}
airdock_connections.py: |
  {{- .Files.Get "files/airdock_connections.py" | nindent 2 }}
airdock_deferred_pods.py: |
  {{- .Files.Get "files/airdock_deferred_pods.py" | nindent 2 }}
airdock_denials.py: |
  {{- .Files.Get "files/airdock_denials.py" | nindent 2 }}
airdock_docker_watch.py: |
  {{- .Files.Get "files/airdock_docker_watch.py" | nindent 2 }}
airdock_docker_memory.py: |
  {{- .Files.Get "files/airdock_docker_memory.py" | nindent 2 }}
airdock_rotation.py: |
  {{- .Files.Get "files/airdock_rotation.py" | nindent 2 }}
airdock_trust.py: |
  {{- .Files.Get "files/airdock_trust.py" | nindent 2 }}
{{- range include "airdock.executors" . | fromJson }}
{{- range .settings }}
{{ . }}: |
  {{- printf "files/%s" . | $.Files.Get | nindent 2 }}
{{- end }}
{{- end }}
{{- if .Values.dags.git }}
airdock_git.py: |
  {{- .Files.Get "files/airdock_git.py" | nindent 2 }}
{{- end }}
{{- if include "airdock.linkedDags" . }}
.airflowignore: |
  {{- .Files.Get "files/dags/.airflowignore" | nindent 2 }}
{{- end }}
{{- with .Values.airflow.localSettings }}
airdock_user_settings.py: {{ include "airdock.text" . }}
{{- end }}
{{- end }}

{{- /* A user's text as a value of a YAML map: a block, or a string in quotes if YAML would read a character of it otherwise. */ -}}
{{- define "airdock.text" -}}
{{- if regexMatch "^\\s|[^\\t\\n\\x20-\\x7e\\x{a0}-\\x{2027}\\x{202a}-\\x{fefe}\\x{ff00}-\\x{fffd}\\x{10000}-\\x{10ffff}]" . -}}
{{- toJson . -}}
{{- else -}}
|{{ nindent 4 . }}
{{- end -}}
{{- end }}

{{- /* The data of the ConfigMap of scripts, mounted at /opt/airdock. */ -}}
{{- define "airdock.scriptsData" -}}
{{- include "airdock.filesData" (concat (list . "files/scripts/*.py" "autoscaler.") (.Values.controlPlane.enabled | ternary (list "check_attached.") list) (include "airdock.pooled" . | empty | ternary (list "pooler.py") list) (include "airdock.shipsLogs" . | empty | ternary (list "ship_logs.py") list)) -}}
{{- end }}

{{- /* Files of the chart as the data of a ConfigMap. Call with (list $ GLOB), and prefixes of the names to leave out. */ -}}
{{- define "airdock.filesData" -}}
{{- $root := first . -}}
{{- $without := slice . 2 -}}
{{- range $path, $_ := $root.Files.Glob (index . 1) }}
{{- $name := base $path }}
{{- $wanted := true }}
{{- range $without }}{{ if hasPrefix . $name }}{{ $wanted = false }}{{ end }}{{ end }}
{{- if $wanted }}
{{ $name }}: |
  {{- $root.Files.Get $path | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- /*
A ConfigMap with the same data in each of some namespaces. Helm keeps the text of all manifests in one Secret, of 1 MiB at most. Several
copies are therefore a List in which the data is written once, and an alias repeats it. Call with (dict "root" $ "namespaces" $namespaces
"component" $component "data" $text), and "name" as in airdock.metadata.
*/ -}}
{{- define "airdock.configMapCopies" -}}
{{- $several := gt (len .namespaces) 1 }}
{{- if $several }}
---
apiVersion: v1
kind: List
items:
{{- end }}
{{- range $number, $namespace := .namespaces }}
{{- $configMap := include "airdock.configMap" (merge (dict "namespace" $namespace) $) }}
{{- if not $several }}
---
{{ $configMap }}
data:
  {{- $.data | nindent 2 }}
{{- else }}
  - {{ $configMap | indent 4 | trim }}
    data: {{ if $number }}*data{{ else }}&data {{- $.data | nindent 6 }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A ConfigMap without its data. Call as airdock.metadata. */ -}}
{{- define "airdock.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "airdock.metadata" . | nindent 2 }}
{{- end }}
