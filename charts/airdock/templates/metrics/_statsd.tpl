{{- /* The exporter of Airflow's metrics: metrics.airflow. */ -}}

{{- /* "true" if the release has it. */ -}}
{{- define "airdock.exported" -}}
{{- if .Values.metrics.airflow.enabled }}true{{ end -}}
{{- end }}

{{- /* Airflow's settings for it, as a YAML map. Its host is a variable (airdock.airflowEnv): Kustomize can follow a rename there. */ -}}
{{- define "airdock.statsdConfig" -}}
statsd_on: true
statsd_port: 9125
statsd_prefix: airflow
# Tags become labels. The names that contain them, such as ti.start.<dag>.<task>, are not needed besides.
statsd_influxdb_enabled: true
legacy_names_on: false
# Tags with ever new values would be ever new series.
statsd_disabled_tags: job_id,run_id,file_path,file_name
{{- end }}

{{- define "airdock.statsdMappings" -}}
{{- $buckets := list 0.1 0.5 1 5 15 60 300 900 3600 14400 -}}
{{- $defaults := dict "observer_type" "histogram" "ttl" .Values.metrics.airflow.seriesTtl "histogram_options" (dict "buckets" $buckets) -}}
{{- dict "defaults" $defaults "mappings" (concat .Values.metrics.airflow.mappings (.Files.Get "files/statsd-mappings.yaml" | fromYamlArray)) | toYaml -}}
{{- end }}

{{- define "airdock.statsd" -}}
name: statsd
key: metrics.airflow
values: {{ include "airdock.mergePods" (list .Values.podDefaults .Values.metrics.airflow (dict "replicas" 1)) }}
runAsUser: 65534
runAsGroup: 65534
podAnnotations: {checksum/statsd: {{ include "airdock.statsdMappings" . | sha256sum }}}
container:
  name: statsd-exporter
  image: statsdExporter
  args: [--statsd.mapping-config=/etc/statsd-exporter/mappings.yaml, --statsd.listen-tcp=]
  ports: {metrics: 9102, statsd: {containerPort: 9125, protocol: UDP}}
  readinessProbe: {httpGet: {path: /-/ready, port: metrics}, periodSeconds: 5}
  livenessProbe: {httpGet: {path: /-/healthy, port: metrics}, periodSeconds: 30, failureThreshold: 6, timeoutSeconds: 5}
  volumeMounts: {mappings: {mountPath: /etc/statsd-exporter, readOnly: true}, tmp: {mountPath: /tmp}}
volumes:
  tmp: {emptyDir: {sizeLimit: 10Mi}}
  mappings: {configMap: {name: {{ include "airdock.fullname" . }}-statsd}}
{{- end }}

{{- /* The persistent worker groups with a Docker gateway, as a JSON list. */ -}}
{{- define "airdock.measuredGroups" -}}
{{- $measured := list -}}
{{- range $name, $group := include "airdock.workersOf" (dict "root" . "podPerTask" false) | fromJson -}}
{{- if include "airdock.serves" (dict "group" $group "what" "gateway") }}{{ $measured = append $measured $name }}{{ end -}}
{{- end -}}
{{- toJson $measured -}}
{{- end }}
