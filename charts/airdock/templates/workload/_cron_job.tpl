{{- /*
A CronJob with its service account: at most one run at a time, each with a deadline. Call with (dict "root" $ "component" $component), whose
values have `schedule` and `deadlineSeconds`.
*/ -}}
{{- define "airdock.cronJob" -}}
{{- $c := .component -}}
{{- if hasKey $c "Error" }}{{ fail $c.Error }}{{ end -}}
{{- $scope := dict "root" .root "component" $c.name "name" $c.name -}}
{{- include "airdock.serviceAccount" (merge (dict "values" $c.values) $scope) }}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  {{- include "airdock.metadata" $scope | nindent 2 }}
spec:
  schedule: {{ $c.values.schedule | quote }}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  jobTemplate:
    spec:
      activeDeadlineSeconds: {{ $c.values.deadlineSeconds | int }}
      backoffLimit: 1
      template:
        {{- include "airdock.pod" (dict "root" .root "component" $c "scope" $scope) | nindent 8 }}
{{- end }}
