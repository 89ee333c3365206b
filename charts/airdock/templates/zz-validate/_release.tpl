{{- /* Problems with what belongs to the release as a whole, each define a JSON list of messages. */ -}}

{{- define "airdock.problems.release" -}}
{{- $problems := list -}}
{{- $tag := .Values.images.airflow.tag -}}
{{- if and (regexMatch "^[0-9]+\\.[0-9]+\\.[0-9]+" $tag) (semverCompare "<3.1.0-0" (regexFind "^[0-9]+\\.[0-9]+\\.[0-9]+" $tag)) -}}
{{- $problems = append $problems (printf "images.airflow.tag: Airflow %s is too old: workers of this chart talk to the execution API of Airflow 3.1 and later." $tag) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]" (include "airdock.fullname" .)) -}}
{{- $problems = append $problems (printf "fullnameOverride: the release %q starts with a digit, and a Service's name must start with a letter. Give a name that does." .Release.Name) -}}
{{- end -}}
{{- if and .Values.dags.examples .Values.dags.volume -}}
{{- $problems = append $problems "dags: examples and volume would both be mounted at dags.path. Set dags.examples: false, or remove dags.volume." -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- $problems = append $problems "ingress.host: is missing. Give the DNS name under which people reach Airflow, or set ingress.enabled: false." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.attached" -}}
{{- $problems := list -}}
{{- if not .Values.controlPlane.enabled -}}
{{- $attach := "with controlPlane.enabled: false the workers join another Airflow" -}}
{{- if not .Values.controlPlane.executionApiUrl -}}
{{- $problems = append $problems (printf "controlPlane.executionApiUrl: is missing; %s. Give its execution API's URL." $attach) -}}
{{- end -}}
{{- if not .Values.broker.existingSecret -}}
{{- $problems = append $problems (printf "broker.existingSecret: is missing; %s. Name the Secret with its broker-url and result-backend." $attach) -}}
{{- end -}}
{{- if not .Values.secrets.apiSecretKey -}}
{{- $problems = append $problems (printf "secrets.apiSecretKey: is missing; %s. Name the Secret with its api-secret-key, or it cannot read the workers' logs." $attach) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.stores" -}}
{{- $problems := list -}}
{{- if and .Values.database.existingSecret .Values.secrets.postgres -}}
{{- $problems = append $problems "secrets.postgres: is for the embedded database, which database.existingSecret turns off. Remove one of them." -}}
{{- end -}}
{{- if and .Values.broker.existingSecret .Values.secrets.redis -}}
{{- $problems = append $problems "secrets.redis: is for the embedded broker, which broker.existingSecret turns off. Remove one of them." -}}
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
{{- $problems = append $problems "metrics.podMonitor.enabled: no group of Celery workers has a Docker gateway, so there is nothing to read. Set it to false." -}}
{{- else if and .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) -}}
{{- $problems = append $problems "networkPolicy.metricsFrom: is missing, and with metrics.podMonitor.enabled Prometheus must reach the gateways. Name its pods, for example [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]." -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.network" -}}
{{- $problems := list -}}
{{- if and (eq .Values.networkPolicy.egress "strict") (or .Values.database.existingSecret .Values.broker.existingSecret) (not .Values.networkPolicy.egressRules) -}}
{{- $problems = append $problems "networkPolicy.egressRules: is empty, so that with egress: strict nothing reaches the external database or broker. Name them." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.secrets" -}}
{{- $problems := list -}}
{{- range $section, $keys := dict "core" (list "fernet_key") "database" (list "sql_alchemy_conn") "celery" (list "broker_url" "result_backend") "api" (list "secret_key") "api_auth" (list "jwt_secret") -}}
{{- range $key := $keys -}}
{{- if hasKey (get $.Values.airflow.config $section | default dict) $key -}}
{{- $problems = append $problems (printf "airflow.config.%s.%s: is a secret, and would be readable in a ConfigMap. Put it into a Secret and name that under secrets, database or broker." $section $key) -}}
{{- end -}}
{{- $variable := printf "AIRFLOW__%s__%s" $section $key | upper -}}
{{- if hasKey $.Values.airflow.env $variable -}}
{{- $problems = append $problems (printf "airflow.env.%s: is a secret, and every component would hold it, the workers too. Put it into a Secret and name that under secrets, database or broker." $variable) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
