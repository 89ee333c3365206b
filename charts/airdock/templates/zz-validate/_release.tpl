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
{{- if .Values.tests.enabled -}}
{{- if not .Values.controlPlane.enabled -}}
{{- $problems = append $problems "tests.enabled: with controlPlane.enabled: false the release has no API that could start the test DAGs. Set it to false: the init container check-airflow tests these workers." -}}
{{- else if not (or .Values.tests.existingSecret (include "airdock.hasAdmin" .)) -}}
{{- $problems = append $problems (printf "tests.existingSecret: is missing. auth.manager %s has users that the chart does not know: name a Secret with the keys username and password of a user who may start DAGs." .Values.auth.manager) -}}
{{- end -}}
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
{{- $keys := .Values.database.keys -}}
{{- range $part := list "user" "password" "name" -}}
{{- if and $keys.host (not (get $keys $part)) -}}
{{- $problems = append $problems (printf "database.keys.%s: is missing. With database.keys.host the Secret has host, user, password and name apart: set the key of each, or remove database.keys.host." $part) -}}
{{- end -}}
{{- end -}}
{{- range $part := list "port" "user" "password" "name" -}}
{{- if and (get $keys $part) (not $keys.host) -}}
{{- $problems = append $problems (printf "database.keys.%s: has no effect without database.keys.host. Set the Secret's key of the host, or remove it." $part) -}}
{{- end -}}
{{- end -}}
{{- $sslMode := .Values.database.tls.mode | default "" -}}
{{- $ca := .Values.database.tls.ca -}}
{{- if and (hasPrefix "verify-" $sslMode) (not $ca.secret) (not $ca.configMap) -}}
{{- $problems = append $problems (printf "database.tls.ca: is missing. database.tls.mode: %s compares the server's certificate with it: name the Secret or ConfigMap that has the certificate of its CA." $sslMode) -}}
{{- end -}}
{{- if and (or $ca.secret $ca.configMap .Values.database.tls.clientCertificate.secret) (has $sslMode (list "" "disable")) -}}
{{- $problems = append $problems "database.tls.mode: is missing, so that database.tls.ca and database.tls.clientCertificate have no effect. Set verify-full." -}}
{{- end -}}
{{- if and (or .Values.broker.tls.ca.secret .Values.broker.tls.ca.configMap .Values.broker.tls.clientCertificate.secret) (not .Values.broker.tls.enabled) -}}
{{- $problems = append $problems "broker.tls.enabled: is false, so that broker.tls.ca and broker.tls.clientCertificate have no effect. Set it to true." -}}
{{- end -}}
{{- range $store := list "database" "broker" -}}
{{- $values := get $.Values $store -}}
{{- if and $values.tls.ca.secret $values.tls.ca.configMap -}}
{{- $problems = append $problems (printf "%s.tls.ca: names a Secret and a ConfigMap. Remove one of them." $store) -}}
{{- end -}}
{{- $default := eq $store "database" | ternary (and (eq $keys.connection "connection") (not $keys.host)) (and (eq $.Values.broker.keys.brokerUrl "broker-url") (eq $.Values.broker.keys.resultBackend "result-backend")) -}}
{{- if not $values.existingSecret -}}
{{- if not $default -}}
{{- $problems = append $problems (printf "%s.keys: are those of %s.existingSecret, which is empty. Set it to the Secret's name, or remove the keys." $store $store) -}}
{{- end -}}
{{- if or $values.tls.enabled (not (has ($values.tls.mode | default "") (list "" "disable"))) -}}
{{- $problems = append $problems (printf "%s.tls: the embedded %s has no TLS. Set %s.existingSecret, or remove it." $store $store $store) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.network" -}}
{{- $problems := list -}}
{{- /* The pooler's own rules can name the database. */ -}}
{{- $database := and .Values.database.existingSecret (not (and (include "airdock.pooled" .) (.Values.networkPolicy.pooler | default dict).egress)) -}}
{{- if and (eq .Values.networkPolicy.egress "strict") (or $database .Values.broker.existingSecret) (not .Values.networkPolicy.egressRules) -}}
{{- $problems = append $problems "networkPolicy.egressRules: is empty, so with networkPolicy.egress: strict no pod can reach the external database or broker. Add rules that allow both." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.secrets" -}}
{{- $problems := list -}}
{{- $envs := dict -}}
{{- range $name, $component := .Values.controlPlane }}{{ if kindIs "map" $component }}{{ $_ := set $envs (printf "controlPlane.%s" $name) ($component.env | default dict) }}{{ end }}{{ end -}}
{{- range $name, $group := include "airdock.workers" . | fromJson }}{{ $_ := set $envs (printf "workers.%s" $name) ($group.env | default dict) }}{{ end -}}
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
{{- range $key, $env := $envs -}}
{{- if and (get $env $variable) (kindIs "string" (get $env $variable)) -}}
{{- $problems = append $problems (printf "%s.env.%s: is a secret, but the manifests would contain it. Store it in a Secret, and set %s to the Secret's name." $key $variable $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name := list "client_secret" "consumer_secret" "AUTH_LDAP_BIND_PASSWORD" "SECRET_KEY" -}}
{{- if regexMatch (printf `(?m)^[^#\n]*\b%s["']?\]?\s*[:=]\s*["'][^"'\n]` $name) $.Values.auth.webserverConfig -}}
{{- $problems = append $problems (printf "auth.webserverConfig: contains the value of %s, but would be stored in a ConfigMap. Store the value in a Secret, set a variable in controlPlane.apiServer.env from it, and read the variable with os.environ." $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
