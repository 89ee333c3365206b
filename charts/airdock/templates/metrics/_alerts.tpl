{{- /* The text of a file of metrics, with the names of the release's jobs. Call with (dict "root" $ "file" "files/alerts.yaml"). */ -}}
{{- define "airdock.metricsFile" -}}
{{- $job := printf "%s/%s" .root.Release.Namespace (include "airdock.fullname" .root) -}}
{{- .root.Files.Get .file | replace "STATSD_JOB" (printf "%s-statsd" $job) | replace "GATEWAY_JOB" (printf "%s-docker-gateway" $job) -}}
{{- end }}

{{- /* What a release has that an alert can be about (`needs` in files/alerts.yaml), as a JSON list. */ -}}
{{- define "airdock.alertSubjects" -}}
{{- $subjects := list -}}
{{- if and .Values.controlPlane.enabled (include "airdock.exported" .) -}}
{{- $subjects = append $subjects "airflow" -}}
{{- if ne "0" (toString .Values.controlPlane.triggerer.replicas) }}{{ $subjects = append $subjects "triggerer" }}{{ end -}}
{{- end -}}
{{- if include "airdock.measuredGroups" . | fromJsonArray }}{{ $subjects = append $subjects "gateway" }}{{ end -}}
{{- range include "airdock.workersOf" (dict "root" . "podPerTask" false) | fromJson -}}
{{- if .facts.daemon }}{{ $subjects = append $subjects "dind" }}{{ end -}}
{{- end -}}
{{- uniq $subjects | toJson -}}
{{- end }}

{{- /* The rules of the PrometheusRule, as a JSON list. */ -}}
{{- define "airdock.alerts" -}}
{{- $rules := .Values.metrics.rules -}}
{{- $name := include "airdock.fullname" . -}}
{{- $subjects := include "airdock.alertSubjects" . | fromJsonArray -}}
{{- $text := include "airdock.metricsFile" (dict "root" . "file" "files/alerts.yaml") -}}
{{- range $token, $value := dict
      "NAMESPACES" (include "airdock.namespaces" . | fromJsonArray | join "|")
      "FULLNAME" $name
      "WAIT_MINUTES" (int $rules.queueWaitMinutes | toString) -}}
{{- $text = replace $token $value $text -}}
{{- end -}}
{{- $alerts := list -}}
{{- range fromYamlArray $text -}}
{{- if has .needs $subjects -}}
{{- $_ := set .labels "namespace" $.Release.Namespace -}}
{{- $_ := set .annotations "runbook_url" (printf "%s#%s" $rules.runbookUrl (lower .alert)) -}}
{{- $alerts = append $alerts (omit . "needs") -}}
{{- end -}}
{{- end -}}
{{- toJson $alerts -}}
{{- end }}
