{{- /* Problems with values of metrics. Each define returns a JSON list of messages. */ -}}

{{- define "airdock.problems.metrics" -}}
{{- $problems := list -}}
{{- $metrics := .Values.metrics -}}
{{- if $metrics.podMonitor.enabled -}}
{{- if not (or (include "airdock.exported" .) (include "airdock.measuredGroups" . | fromJsonArray)) -}}
{{- $problems = append $problems "metrics.podMonitor.enabled: no persistent worker has a Docker gateway, and metrics.airflow.enabled is false, so there are no metrics. Set metrics.podMonitor.enabled: false, or metrics.airflow.enabled: true." -}}
{{- else if and .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) -}}
{{- $problems = append $problems "networkPolicy.metricsFrom: is empty, so the network policies keep Prometheus from the metrics that metrics.podMonitor.enabled publishes. Select its pods, for example [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]." -}}
{{- end -}}
{{- end -}}
{{- range $value := list "rules" "dashboard" -}}
{{- if and (get $metrics $value).enabled (not $metrics.podMonitor.enabled) -}}
{{- $problems = append $problems (printf "metrics.%s.enabled: reads metrics as the PodMonitors name them. Set metrics.podMonitor.enabled: true, or metrics.%s.enabled: false." $value $value) -}}
{{- end -}}
{{- end -}}
{{- if include "airdock.exported" . -}}
{{- range $key, $_ := .Values.airflow.config.metrics -}}
{{- if or (regexMatch "^statsd_(on|host|port|prefix|influxdb_enabled|datadog_enabled|custom_client_path)$" $key) (eq "otel_on" $key) -}}
{{- $problems = append $problems (printf "airflow.config.metrics.%s: with metrics.airflow.enabled the chart sets where Airflow sends its metrics. Remove it, or set metrics.airflow.enabled: false." $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (concat $problems (include "airdock.missingKinds" . | fromJsonArray)) -}}
{{- end }}

{{- /* Kinds of the Prometheus operator that the cluster does not have. */ -}}
{{- define "airdock.missingKinds" -}}
{{- $problems := list -}}
{{- $metrics := .Values.metrics -}}
{{- range $value, $kind := dict "podMonitor" "PodMonitor" "rules" "PrometheusRule" -}}
{{- if and (get $metrics $value).enabled (include "airdock.liveCluster" $) (not ($.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind))) -}}
{{- $problems = append $problems (printf "metrics.%s.enabled: the cluster does not have the kind %s. Install the CRDs of the Prometheus operator first, or set it to false." $value $kind) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
