{{- /*
The Secrets, by purpose, as YAML: the name of an existing Secret or of the one that create_secrets.py creates in the cluster, the environment
variables that read it, and those that go with them.
*/ -}}
{{- define "airdock.secrets" -}}
{{- $stem := include "airdock.fullname" . -}}
# With the pooler, "database" is the pooler, and the pooler alone connects to "databaseServer".
{{- $pooler := .Values.secrets.pooler | default (printf "%s-pooler" $stem) }}
database:
  {{- if include "airdock.pooled" . }}
  name: {{ $pooler | quote }}
  env: {PGPASSWORD: password}
  plain: {{ include "airdock.poolerPlainEnv" . }}
pooler:
  name: {{ $pooler | quote }}
  env: {AIRDOCK_POOLER_PASSWORD: password}
databaseServer:
  {{- end }}
  name: {{ .Values.database.existingSecret | default .Values.secrets.postgres | default (printf "%s-postgres" $stem) | quote }}
  env: {{ include "airdock.databaseKeys" . }}
  plain: {{ include "airdock.databasePlainEnv" . }}
broker:
  name: {{ .Values.broker.existingSecret | default .Values.secrets.redis | default (printf "%s-redis" $stem) | quote }}
  env:
    AIRFLOW__CELERY__BROKER_URL: {{ .Values.broker.keys.brokerUrl | quote }}
    AIRFLOW__CELERY__RESULT_BACKEND: {{ .Values.broker.keys.resultBackend | quote }}
  plain: {{ include "airdock.brokerPlainEnv" . }}
fernetKey:
  name: {{ .Values.secrets.fernetKey | default (printf "%s-fernet-key" $stem) | quote }}
  env:
    AIRFLOW__CORE__FERNET_KEY: fernet-key
apiSecretKey:
  name: {{ .Values.secrets.apiSecretKey | default (printf "%s-api-secret-key" $stem) | quote }}
  env:
    AIRFLOW__API__SECRET_KEY: api-secret-key
jwtSecret:
  name: {{ .Values.secrets.jwtSecret | default (printf "%s-jwt-secret" $stem) | quote }}
  env:
    AIRFLOW__API_AUTH__JWT_SECRET: jwt-secret
admin:
  name: {{ .Values.secrets.admin | default (printf "%s-admin" $stem) | quote }}
  env:
    AIRDOCK_ADMIN_USERNAME: username
    AIRDOCK_ADMIN_PASSWORD: password
postgres:
  name: {{ .Values.secrets.postgres | default (printf "%s-postgres" $stem) | quote }}
  env:
    POSTGRES_PASSWORD: password
redis:
  name: {{ .Values.secrets.redis | default (printf "%s-redis" $stem) | quote }}
  env:
    REDIS_PASSWORD: password
{{- end }}

{{- /* The Secrets that are created in the cluster, as a YAML map of name to purpose; empty if all are existing ones. */ -}}
{{- define "airdock.secretsToCreate" -}}
{{- if .Values.controlPlane.enabled -}}
{{- $secrets := include "airdock.secrets" . | fromYaml -}}
{{- range $purpose := list "admin" "apiSecretKey" "fernetKey" "jwtSecret" -}}
{{- if and (not (get $.Values.secrets $purpose)) (or (ne $purpose "admin") (include "airdock.hasAdmin" $)) }}
{{ (get $secrets $purpose).name }}: {{ $purpose }}
{{- end -}}
{{- end -}}
{{- if and (include "airdock.embedded" (dict "root" . "store" "database")) (not .Values.secrets.postgres) }}
{{ $secrets.postgres.name }}: postgres
{{- end -}}
{{- if and (include "airdock.embedded" (dict "root" . "store" "broker")) (not .Values.secrets.redis) }}
{{ $secrets.redis.name }}: redis
{{- end -}}
{{- if and (include "airdock.pooled" .) (not .Values.secrets.pooler) }}
{{ $secrets.pooler.name }}: pooler
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Those of them that workers in worker-only namespaces read: they are created there, too, with the same content. */ -}}
{{- define "airdock.secretsToShare" -}}
{{- if include "airdock.secretReadingNamespaces" . | fromJsonArray -}}
{{- range $name, $purpose := include "airdock.secretsToCreate" . | fromYaml -}}
{{- if has $purpose (list "apiSecretKey" "redis") }}
{{ $name }}: {{ $purpose }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The existing Secrets that these workers read: the user creates them there, too. A JSON list of names. */ -}}
{{- define "airdock.secretsToBring" -}}
{{- $names := list -}}
{{- range pick (include "airdock.secrets" . | fromYaml) "apiSecretKey" "broker" }}{{ $names = append $names .name }}{{ end -}}
{{- range $name, $_ := include "airdock.secretsToShare" . | fromYaml }}{{ $names = without $names $name }}{{ end -}}
{{- toJson $names -}}
{{- end }}

{{- /* Environment variables from Secrets, as a YAML map. Call with (dict "root" $ "purposes" (list "database")). */ -}}
{{- define "airdock.secretEnv" -}}
{{- $secrets := include "airdock.secrets" .root | fromYaml -}}
{{- range .purposes -}}
{{- $secret := get $secrets . -}}
{{- range $variable, $key := $secret.env }}
{{ $variable }}: {valueFrom: {secretKeyRef: {name: {{ $secret.name | quote }}, key: {{ $key | quote }}}}}
{{- end -}}
{{- range $variable, $value := $secret.plain }}
{{ $variable }}: {{ $value | quote }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* "true" if the release includes the data store. Call with (dict "root" $ "store" "database"), or "broker". */ -}}
{{- define "airdock.embedded" -}}
{{- $used := or (eq .store "database") (include "airdock.anyExecutor" (dict "root" .root "fact" "broker")) -}}
{{- if and $used .root.Values.controlPlane.enabled (not (get .root.Values .store).existingSecret) }}true{{ end -}}
{{- end }}
