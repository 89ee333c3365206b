{{- /* The sidecar of workers that uploads the logs of killed tasks. Its environment is that of the worker, with the connection of logs.remote. */ -}}

{{- /* Prints something if there is one: for stores of files, to which Airflow uploads a log when its task ends. */ -}}
{{- define "airdock.shipsLogs" -}}
{{- $remote := .Values.logs.remote -}}
{{- if and (regexMatch "^(s3|gs|wasb)" ($remote.baseLogFolder | default "")) (not (eq false $remote.uploadOfKilled)) (not (include "airdock.logsShared" .)) }}true{{ end -}}
{{- end }}

{{- /* Call with (dict "root" $ "component" $component). */ -}}
{{- define "airdock.logShipper" -}}
name: log-shipper
restartPolicy: Always
command: [python, /opt/airdock/ship_logs.py]
livenessProbe: {exec: {command: [sh, -c, 'test -n "$(find /tmp/log-shipper -mmin -60)"']}, periodSeconds: 300, timeoutSeconds: 5}
lifecycle: {preStop: {exec: {command: [touch, /tmp/ending]}}}
env: {AIRDOCK_GRACE_SECONDS: {{ include "airdock.gracePeriod" .component | quote }}}
resources: {{ toJson .root.Values.logs.remote.resources }}
volumeMounts: {logs: {mountPath: /opt/airflow/logs}}
{{- end }}
