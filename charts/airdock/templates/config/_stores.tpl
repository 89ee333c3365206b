{{- /*
How Airflow connects to a database and a broker that others run. A URL cannot be composed from a Secret's keys in a pod's manifest, since the
kubelet does not escape what it puts in. So an empty URL leaves all to libpq's environment variables (PostgreSQL 17 documentation, 32.15), which
psycopg2 and asyncpg read. They serve for TLS, too: asyncpg does not take libpq's parameters in a URL.
*/ -}}

{{- /* Environment variable to the Secret's key, as JSON. */ -}}
{{- define "airdock.databaseKeys" -}}
{{- $keys := .Values.database.keys -}}
{{- if $keys.host -}}
{{- $env := dict "PGHOST" $keys.host "PGUSER" $keys.user "PGPASSWORD" $keys.password "PGDATABASE" $keys.name -}}
{{- if $keys.port }}{{ $_ := set $env "PGPORT" $keys.port }}{{ end -}}
{{- toJson $env -}}
{{- else -}}
{{- dict "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" $keys.connection | toJson -}}
{{- end -}}
{{- end }}

{{- define "airdock.databasePlainEnv" -}}
{{- $tls := .Values.database.tls -}}
{{- $files := include "airdock.tlsFiles" (dict "root" . "store" "database") | fromJson -}}
{{- $env := empty .Values.database.keys.host | ternary dict (dict "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" "postgresql+psycopg2://") -}}
{{- with $tls.mode }}{{ $_ := set $env "PGSSLMODE" . }}{{ end -}}
{{- with $files.ca }}{{ $_ := set $env "PGSSLROOTCERT" . }}{{ end -}}
{{- with $files.certificate }}{{ $_ := set $env "PGSSLCERT" . }}{{ $_ := set $env "PGSSLKEY" $files.key }}{{ end -}}
{{- toJson $env -}}
{{- end }}

{{- define "airdock.brokerPlainEnv" -}}
{{- $files := include "airdock.tlsFiles" (dict "root" . "store" "broker") | fromJson -}}
{{- $env := dict -}}
{{- if .Values.broker.tls.enabled -}}
{{- $env = dict "AIRFLOW__CELERY__SSL_ACTIVE" "True" "AIRFLOW__CELERY__SSL_MUTUAL_TLS" (empty $files.certificate | ternary "False" "True") -}}
{{- with $files.ca }}{{ $_ := set $env "AIRFLOW__CELERY__SSL_CACERT" . }}{{ end -}}
{{- with $files.certificate }}{{ $_ := set $env "AIRFLOW__CELERY__SSL_CERT" . }}{{ $_ := set $env "AIRFLOW__CELERY__SSL_KEY" $files.key }}{{ end -}}
{{- end -}}
{{- toJson $env -}}
{{- end }}

{{- /* The paths of a store's certificates in a container, as JSON: ca, certificate and key, each only if the values name it. */ -}}
{{- define "airdock.tlsFiles" -}}
{{- $tls := (get .root.Values .store).tls -}}
{{- $directory := printf "/opt/airdock-tls/%s" .store -}}
{{- $files := dict -}}
{{- if or $tls.ca.secret $tls.ca.configMap }}{{ $_ := set $files "ca" (printf "%s/ca.crt" $directory) }}{{ end -}}
{{- if $tls.clientCertificate.secret -}}
{{- $_ := set $files "certificate" (printf "%s/tls.crt" $directory) -}}
{{- $_ := set $files "key" (printf "%s/tls.key" $directory) -}}
{{- end -}}
{{- toJson $files -}}
{{- end }}

{{- /* The volume and mount of these files for a container with these purposes of _secrets.tpl. Call with (dict "root" $ "purposes" $list). */ -}}
{{- define "airdock.tlsVolumes" -}}
{{- $volumes := dict -}}
{{- $mounts := dict -}}
{{- range $store := list "database" "broker" -}}
{{- $tls := (get $.root.Values $store).tls -}}
{{- $purpose := and (eq $store "database") (include "airdock.pooled" $.root) | empty | ternary $store "databaseServer" -}}
{{- if and (has $purpose ($.purposes | default list)) (include "airdock.tlsFiles" (dict "root" $.root "store" $store) | fromJson) -}}
{{- $sources := list -}}
{{- range $kind := list "secret" "configMap" -}}
{{- with get $tls.ca $kind }}{{ $sources = append $sources (dict $kind (dict "name" . "items" (list (dict "key" $tls.ca.key "path" "ca.crt")))) }}{{ end -}}
{{- end -}}
{{- with $tls.clientCertificate.secret -}}
{{- $items := list (dict "key" $tls.clientCertificate.certificate "path" "tls.crt") (dict "key" $tls.clientCertificate.key "path" "tls.key") -}}
{{- $sources = append $sources (dict "secret" (dict "name" . "items" $items)) -}}
{{- end -}}
{{- $name := printf "%s-tls" $store -}}
{{- /* libpq takes a key of root's that only its group may read. */ -}}
{{- $_ := set $volumes $name (dict "projected" (dict "defaultMode" 288 "sources" $sources)) -}}
{{- $_ := set $mounts $name (dict "mountPath" (printf "/opt/airdock-tls/%s" $store) "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- dict "volumes" $volumes "volumeMounts" $mounts | toJson -}}
{{- end }}
