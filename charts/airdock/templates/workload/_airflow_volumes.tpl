{{- /* Volumes and mounts of every Airflow container, as a YAML map with volumes and volumeMounts. */ -}}
{{- define "airdock.airflowVolumes" -}}
volumes:
  config: {configMap: {name: {{ include "airdock.fullname" . }}-config}}
  scripts: {configMap: {name: {{ include "airdock.fullname" . }}-scripts}}
  tmp: {emptyDir: {sizeLimit: 1Gi}}
volumeMounts:
  config: {mountPath: /opt/airflow/config, readOnly: true}
  scripts: {mountPath: /opt/airdock, readOnly: true}
  tmp: {mountPath: /tmp}
{{- end }}

{{- /* The volume of task logs: a claim that all components share, or a per-pod emptyDir. */ -}}
{{- define "airdock.logVolumes" -}}
volumes:
  {{- if include "airdock.logsShared" . }}
  logs: {persistentVolumeClaim: {claimName: {{ .Values.logs.claim.existingClaim | default (printf "%s-logs" (include "airdock.fullname" .)) | quote }}}}
  {{- else }}
  logs: {emptyDir: {sizeLimit: {{ .Values.logs.sizeLimit }}}}
  {{- end }}
volumeMounts:
  logs: {mountPath: /opt/airflow/logs}
{{- end }}

{{- /* The volume of DAG files, for the components that parse or run them. */ -}}
{{- define "airdock.dagVolumes" -}}
{{- if .Values.dags.examples -}}
volumes:
  dags: {configMap: {name: {{ include "airdock.fullname" . }}-example-dags}}
volumeMounts:
  dags: {mountPath: {{ .Values.dags.path | quote }}, readOnly: true}
{{- else if .Values.dags.volume -}}
volumes:
  {{- with get .Values.dags.volume "configMap" }}
  # With a .airflowignore: Airflow would follow the link ..data of such a volume in a circle. A file of that name in the ConfigMap wins.
  dags:
    projected:
      {{- with .defaultMode }}
      defaultMode: {{ int . }}
      {{- end }}
      sources:
        - configMap: {name: {{ include "airdock.fullname" $ }}-config, items: [{key: .airflowignore, path: .airflowignore}]}
        - configMap: {{ omit . "defaultMode" | toJson }}
  {{- else }}
  dags: {{ toJson .Values.dags.volume }}
  {{- end }}
volumeMounts:
  dags: {mountPath: {{ .Values.dags.path | quote }}, readOnly: true}
{{- else -}}
{}
{{- end -}}
{{- end }}
