{{- /* PgBouncer between Airflow and the database: database.pooler. */ -}}

{{- /* "true" if the release has it. */ -}}
{{- define "airdock.pooled" -}}
{{- if and .Values.controlPlane.enabled .Values.database.pooler.enabled }}true{{ end -}}
{{- end }}

{{- /* How Airflow connects to it, as environment variables in JSON: libpq's, as with database.keys.host. Its Secret has the password. */ -}}
{{- define "airdock.poolerPlainEnv" -}}
{{- dict "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" "postgresql+psycopg2://" "PGHOST" "$(AIRDOCK_POOLER_HOST)" "PGPORT" "6432" "PGUSER" "airflow" "PGDATABASE" "airflow" | toJson -}}
{{- end }}

{{- /* The variables of the init container that migrates, as a YAML map: a migration needs a session of its own. */ -}}
{{- define "airdock.migrateEnv" -}}
{{- if include "airdock.pooled" . }}
PGDATABASE: airflow-migrations
AIRDOCK_MIGRATE_IN_TURN: "true"
{{- end }}
{{- with .Values.airflow.pools }}
AIRDOCK_POOLS: {{ toJson . | replace "$" "$$" | quote }}
{{- end }}
{{- end }}

{{- /* Settings of pgbouncer.ini from the values, as JSON. */ -}}
{{- define "airdock.poolerSettings" -}}
{{- $values := .Values.database.pooler -}}
{{- $own := dict "max_client_conn" (int $values.maxClientConnections) "default_pool_size" (int $values.poolSize) -}}
{{- include "airdock.overlay" (list $own $values.config) -}}
{{- end }}

{{- define "airdock.problems.pooler" -}}
{{- $problems := list -}}
{{- if not (include "airdock.pooled" .) -}}
{{- if .Values.secrets.pooler -}}
{{- $problems = append $problems "secrets.pooler: has no effect without the pooler. Set database.pooler.enabled: true, or remove it." -}}
{{- end -}}
{{- else -}}
{{- range $name, $_ := .Values.database.pooler.config -}}
{{- $here := "" -}}
{{- if eq $name "default_pool_size" }}{{ $here = "database.pooler.poolSize" }}{{ end -}}
{{- if eq $name "max_client_conn" }}{{ $here = "database.pooler.maxClientConnections" }}{{ end -}}
{{- if hasPrefix "server_tls_" $name }}{{ $here = "database.tls" }}{{ end -}}
{{- if $here -}}
{{- $problems = append $problems (printf "database.pooler.config.%s: the chart sets it from %s. Remove it, and set that value." $name $here) -}}
{{- else if has $name (list "auth_file" "auth_type" "listen_addr" "listen_port" "logfile" "pidfile" "pool_mode" "unix_socket_dir" "user") -}}
{{- $problems = append $problems (printf "database.pooler.config.%s: the chart sets it, and the pooler would not work with another value. Remove it." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
