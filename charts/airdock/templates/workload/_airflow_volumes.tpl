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
  {{- with include "airdock.linkedDags" . }}
  {{- $linked := fromJson . }}
  # With a .airflowignore: Airflow would follow the link ..data of such a volume in a circle. A file of that name in the volume wins.
  dags:
    projected:
      {{- with $linked.defaultMode }}
      defaultMode: {{ int . }}
      {{- end }}
      sources:
        - configMap: {name: {{ include "airdock.fullname" $ }}-config, items: [{key: .airflowignore, path: .airflowignore}]}
        {{- toYaml $linked.sources | nindent 8 }}
  {{- else }}
  dags: {{ toJson .Values.dags.volume }}
  {{- end }}
volumeMounts:
  dags: {mountPath: {{ .Values.dags.path | quote }}, readOnly: true}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- /* Sources and defaultMode of dags.volume if the kubelet writes its files behind a link ..data, as a JSON map; otherwise empty. */ -}}
{{- define "airdock.linkedDags" -}}
{{- $volume := .Values.dags.volume | default dict -}}
{{- with $volume.configMap -}}
{{- dict "defaultMode" .defaultMode "sources" (list (dict "configMap" (omit . "defaultMode"))) | toJson -}}
{{- end -}}
{{- with $volume.secret -}}
{{- $secret := set (omit . "defaultMode" "secretName") "name" .secretName -}}
{{- dict "defaultMode" .defaultMode "sources" (list (dict "secret" $secret)) | toJson -}}
{{- end -}}
{{- with $volume.projected -}}
{{- dict "defaultMode" .defaultMode "sources" .sources | toJson -}}
{{- end -}}
{{- end }}
