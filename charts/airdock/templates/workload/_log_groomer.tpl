{{- /* The sidecar that removes old log files. A directory that all components share has one groomer, in the scheduler's pod. */ -}}

{{- /* Prints something if the component of this name has the sidecar. Call with (dict "root" $ "name" $name). */ -}}
{{- define "airdock.groomsLogs" -}}
{{- if and (not (eq false .root.Values.logs.retention.enabled)) (or (not (include "airdock.logsShared" .root)) (eq .name "scheduler")) }}true{{ end -}}
{{- end }}

{{- /* Prints something if all components write to one claim. */ -}}
{{- define "airdock.logsShared" -}}
{{- if or .Values.logs.claim.existingClaim .Values.logs.claim.size }}true{{ end -}}
{{- end }}

{{- /* The bytes that log files may have: by default four fifths of an emptyDir, and no limit for a claim. */ -}}
{{- define "airdock.logBytes" -}}
{{- if .Values.logs.retention.maxSize -}}
{{- include "airdock.quantity" .Values.logs.retention.maxSize | float64 | int64 -}}
{{- else -}}
{{- include "airdock.logsShared" . | empty | ternary (mulf 0.8 (include "airdock.quantity" .Values.logs.sizeLimit | float64) | int64) 0 -}}
{{- end -}}
{{- end }}

{{- /* The sidecar of workers that uploads the logs of killed tasks. Its environment is Airflow's, with the connection of logs.remote. */ -}}
{{- define "airdock.shipsLogs" -}}
{{- if and .Values.logs.remote.baseLogFolder (not (eq false .Values.logs.remote.uploadOfKilled)) (not (include "airdock.logsShared" .)) }}true{{ end -}}
{{- end }}

{{- define "airdock.logShipper" -}}
name: log-shipper
restartPolicy: Always
command: [python, /opt/airdock/ship_logs.py]
lifecycle: {preStop: {exec: {command: [touch, /tmp/ending]}}}
resources: {{ toJson .Values.logs.remote.resources }}
volumeMounts: {logs: {mountPath: /opt/airflow/logs}}
{{- end }}

{{- define "airdock.logGroomer" -}}
name: log-groomer
image: airflow
restartPolicy: Always
command: [python, -SE, /opt/airdock/groom_logs.py]
env:
  AIRDOCK_LOGS_DAYS: {{ .Values.logs.retention.days | int | quote }}
  AIRDOCK_LOGS_MAX_BYTES: {{ include "airdock.logBytes" . | quote }}
  {{- if include "airdock.logsShared" . }}
  AIRDOCK_LOGS_SHARED: "true"
  {{- end }}
livenessProbe: {exec: {command: [sh, -c, 'test -n "$(find /tmp/log-groomer -mmin -30)"']}, periodSeconds: 300, timeoutSeconds: 5}
resources: {{ toJson .Values.logs.retention.resources }}
volumeMounts:
  tmp: {mountPath: /tmp}
  scripts: {mountPath: /opt/airdock, readOnly: true}
  logs: {mountPath: /opt/airflow/logs}
{{- end }}
