{{- /* Problems with values that concern the whole release. Each define returns a JSON list of messages. */ -}}

{{- define "airdock.problems.release" -}}
{{- $problems := list -}}
{{- $tag := .Values.images.airflow.tag -}}
{{- if and (regexMatch "^[0-9]+\\.[0-9]+\\.[0-9]+" $tag) (semverCompare "<3.1.0-0" (regexFind "^[0-9]+\\.[0-9]+\\.[0-9]+" $tag)) -}}
{{- $problems = append $problems (printf "images.airflow.tag: Airflow %s is too old. The workers use the execution API of Airflow 3.1 or later: set a newer tag." $tag) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]" (include "airdock.fullname" .)) -}}
{{- $problems = append $problems (printf "fullnameOverride: the release name %q starts with a digit, but the name of a Service must start with a letter. Set fullnameOverride to a name that starts with a letter." .Release.Name) -}}
{{- end -}}
{{- if and .Values.dags.examples .Values.dags.volume -}}
{{- $problems = append $problems "dags.volume: dags.examples is true, too, and both would be mounted at dags.path. Remove dags.volume, or set dags.examples: false." -}}
{{- end -}}
{{- if contains "." .Release.Name -}}
{{- $problems = append $problems (printf "The release name %q contains a dot, which the names of Services and namespaces cannot contain. Choose another release name." .Release.Name) -}}
{{- end -}}
{{- if and .Values.logs.retention.maxSize (not (include "airdock.logsShared" .)) (ge (include "airdock.quantity" .Values.logs.retention.maxSize | float64) (include "airdock.quantity" .Values.logs.sizeLimit | float64)) -}}
{{- $problems = append $problems (printf "logs.retention.maxSize: %s is not below logs.sizeLimit (%s), at which the kubelet evicts the pod. Set a smaller size, or remove it." (toString .Values.logs.retention.maxSize) (toString .Values.logs.sizeLimit)) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- $problems = append $problems "ingress.host: is missing. Set it to the DNS name of Airflow's UI, or set ingress.enabled: false." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.attached" -}}
{{- $problems := list -}}
{{- if not .Values.controlPlane.enabled -}}
{{- $attach := "With controlPlane.enabled: false the workers belong to another Airflow installation" -}}
{{- if not .Values.controlPlane.executionApiUrl -}}
{{- $problems = append $problems (printf "controlPlane.executionApiUrl: is missing. %s: set the URL of its execution API." $attach) -}}
{{- end -}}
{{- if not .Values.broker.existingSecret -}}
{{- $problems = append $problems (printf "broker.existingSecret: is missing. %s: name a Secret with the keys broker-url and result-backend of its broker." $attach) -}}
{{- end -}}
{{- if not .Values.secrets.apiSecretKey -}}
{{- $problems = append $problems (printf "secrets.apiSecretKey: is missing. %s: name a Secret with its api-secret-key. Without the key, that Airflow cannot read the workers' logs." $attach) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.stores" -}}
{{- $problems := list -}}
{{- if and .Values.database.existingSecret .Values.secrets.postgres -}}
{{- $problems = append $problems "secrets.postgres: applies to the embedded database only, which database.existingSecret disables. Remove one of them." -}}
{{- end -}}
{{- if and .Values.broker.existingSecret .Values.secrets.redis -}}
{{- $problems = append $problems "secrets.redis: applies to the embedded broker only, which broker.existingSecret disables. Remove one of them." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.metrics" -}}
{{- $problems := list -}}
{{- $groups := include "airdock.workers" . | fromJson -}}
{{- if .Values.metrics.podMonitor.enabled -}}
{{- $measured := false -}}
{{- range $groups }}{{ if and (not .executorFacts.podPerTask) (include "airdock.serves" (dict "group" . "what" "gateway")) }}{{ $measured = true }}{{ end }}{{ end -}}
{{- if not $measured -}}
{{- $problems = append $problems "metrics.podMonitor.enabled: no persistent worker has a Docker gateway, so there are no metrics. Set it to false." -}}
{{- else if and .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) -}}
{{- $problems = append $problems "networkPolicy.metricsFrom: is empty, so the network policies keep Prometheus from the metrics that metrics.podMonitor.enabled publishes. Select its pods, for example [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]." -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.network" -}}
{{- $problems := list -}}
{{- if and (eq .Values.networkPolicy.egress "strict") (or .Values.database.existingSecret .Values.broker.existingSecret) (not .Values.networkPolicy.egressRules) -}}
{{- $problems = append $problems "networkPolicy.egressRules: is empty, so with networkPolicy.egress: strict no pod can reach the external database or broker. Add rules that allow both." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.secrets" -}}
{{- $problems := list -}}
{{- range $path, $value := dict
      "core.fernet_key" "secrets.fernetKey"
      "database.sql_alchemy_conn" "database.existingSecret"
      "celery.broker_url" "broker.existingSecret"
      "celery.result_backend" "broker.existingSecret"
      "api.secret_key" "secrets.apiSecretKey"
      "api_auth.jwt_secret" "secrets.jwtSecret" -}}
{{- $section := splitList "." $path | first -}}
{{- $key := splitList "." $path | last -}}
{{- if hasKey (get $.Values.airflow.config $section | default dict) $key -}}
{{- $problems = append $problems (printf "airflow.config.%s: is a secret, but it would be stored in a ConfigMap. Store it in a Secret, and set %s to the Secret's name." $path $value) -}}
{{- end -}}
{{- $variable := printf "AIRFLOW__%s__%s" $section $key | upper -}}
{{- if hasKey $.Values.airflow.env $variable -}}
{{- $problems = append $problems (printf "airflow.env.%s: is a secret, but every component would get it, including the workers. Store it in a Secret, and set %s to the Secret's name." $variable $value) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
