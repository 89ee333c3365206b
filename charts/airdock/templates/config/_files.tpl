{{- /* The data of the ConfigMap that every Airflow component mounts at /opt/airflow/config. */ -}}
{{- define "airdock.configData" -}}
airflow.cfg: |
  {{- include "airdock.airflowCfg" . | nindent 2 }}
airflow_local_settings.py: |
  {{- .Files.Get "files/airflow_local_settings.py" | nindent 2 }}
airdock_docker_watch.py: |
  {{- .Files.Get "files/airdock_docker_watch.py" | nindent 2 }}
airdock_docker_memory.py: |
  {{- .Files.Get "files/airdock_docker_memory.py" | nindent 2 }}
{{- range include "airdock.executors" . | fromJson }}
{{- range .settings }}
{{ . }}: |
  {{- printf "files/%s" . | $.Files.Get | nindent 2 }}
{{- end }}
{{- end }}
{{- if (.Values.dags.volume | default dict).configMap }}
.airflowignore: |
  {{- .Files.Get "files/dags/.airflowignore" | nindent 2 }}
{{- end }}
{{- with .Values.airflow.localSettings }}
airdock_user_settings.py: |
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The data of the ConfigMap of scripts, mounted at /opt/airdock. */ -}}
{{- define "airdock.scriptsData" -}}
{{- include "airdock.filesData" (list . "files/scripts/*.py") -}}
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
