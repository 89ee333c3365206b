{{- /* airflow.cfg, and the URL of the UI. */ -}}

{{- /* The URL of the UI: airflow.config.api.base_url, otherwise the Ingress's, otherwise the HTTPRoute's, otherwise empty. */ -}}
{{- define "airdock.baseUrl" -}}
{{- $api := .Values.airflow.config.api | default dict -}}
{{- if $api.base_url -}}
{{- $api.base_url | trimSuffix "/" -}}
{{- else if .Values.ingress.enabled -}}
{{- printf "%s://%s%s" (empty .Values.ingress.tlsSecretName | ternary "http" "https") .Values.ingress.host .Values.ingress.path | trimSuffix "/" -}}
{{- else if .Values.httpRoute.enabled -}}
{{- printf "%s://%s%s" .Values.httpRoute.scheme (first .Values.httpRoute.hostnames) .Values.httpRoute.path | trimSuffix "/" -}}
{{- end -}}
{{- end }}

{{- /* The path of the base URL, without a trailing slash: Airflow serves everything below it, including the execution API. */ -}}
{{- define "airdock.basePath" -}}
{{- (urlParse (include "airdock.baseUrl" .)).path | trimSuffix "/" -}}
{{- end }}

{{- /* "true" if users open the UI by https. */ -}}
{{- define "airdock.https" -}}
{{- if hasPrefix "https://" (include "airdock.baseUrl" . | lower) }}true{{ end -}}
{{- end }}

{{- /* Variables of the api-server behind a proxy, as a YAML map. */ -}}
{{- define "airdock.behindProxyEnv" -}}
{{- with include "airdock.trustedProxies" . }}
FORWARDED_ALLOW_IPS: {{ . | quote }}
{{- end }}
{{- if and (include "airdock.https" .) (not (hasKey (.Values.airflow.config.fab | default dict) "cookie_secure")) }}
# The cookie of FAB's session. That of the token follows the scheme of the request.
AIRFLOW__FAB__COOKIE_SECURE: "True"
{{- end }}
{{- end }}

{{- /*
The proxies whose headers count, as uvicorn's FORWARDED_ALLOW_IPS; empty if none do. The chart does not know the address of the proxy that ends
TLS. All addresses are safe: with a forged header a client changes the scheme and the address of its own requests only, which decide about its
own cookie, the login form's rate limit, which POST /auth/token does not have, and a line of the log.
*/ -}}
{{- define "airdock.trustedProxies" -}}
{{- with .Values.controlPlane.apiServer.service.trustedProxies -}}
{{- join "," . -}}
{{- else -}}
{{- if include "airdock.https" . }}*{{ end -}}
{{- end -}}
{{- end }}

{{- /* The chart's settings, by section and key; airflow.config overrides them. */ -}}
{{- define "airdock.defaultConfig" -}}
core:
  executor: {{ .Values.executor }}
  dags_folder: {{ .Values.dags.path | quote }}
  load_examples: false
  # Workers have no DNS names, so the api-server reads their logs from the pod's IP address.
  hostname_callable: airflow.utils.net.get_host_ip_address
  {{- if .Values.controlPlane.enabled }}
  auth_manager: {{ include "airdock.authManager" . }}
  simple_auth_manager_users: {{ .Values.auth.admin.username }}:admin
  simple_auth_manager_passwords_file: /tmp/passwords.json
  {{- end }}
{{- if .Values.controlPlane.enabled }}
database:
  sql_alchemy_connect_args: airdock_connections.DATABASE_ARGUMENTS
{{- end }}
{{- with include "airdock.baseUrl" . }}
api:
  base_url: {{ . }}
{{- end }}
scheduler:
  enable_health_check: true
workers:
  # Tasks survive if the api-server is unavailable for minutes. By default, Airflow kills them after three failed heartbeats.
  max_failed_heartbeats: 60
  execution_api_retries: 10
  execution_api_retry_wait_max: 15
{{- with include "airdock.allBundles" . | fromJsonArray }}
dag_processor:
  dag_bundle_config_list: {{ toJson . | quote }}
{{- end }}
{{- if eq .Values.auth.manager "fab" }}
fab:
  config_file: /opt/airflow/webserver/webserver_config.py
  {{- if .Values.auth.oidc.issuer }}
  # The identity provider decides again about users and their roles after half a day, instead of never.
  session_max_lifetime_minutes: 720
  {{- end }}
{{- end }}
{{- if include "airdock.exported" . }}
metrics:
  {{- include "airdock.statsdConfig" . | nindent 2 }}
{{- end }}
{{- with .Values.logs.remote }}
{{- if .baseLogFolder }}
logging:
  remote_logging: true
  remote_base_log_folder: {{ .baseLogFolder | quote }}
  remote_log_conn_id: {{ .connectionId | quote }}
  # What was uploaded needs no room in the pod.
  delete_local_logs: true
{{- end }}
{{- end }}
{{- end }}

{{- /*
Settings that components of the overlays change, as section.key. Each is an environment variable, because Kustomize cannot patch inside
airflow.cfg.
*/ -}}
{{- define "airdock.settingsInEnv" -}}
[core.auth_manager, api.base_url, fab.config_file]
{{- end }}

{{- define "airdock.config" -}}
{{- $config := include "airdock.defaultConfig" . | fromYaml -}}
{{- range splitList "," .Values.executor -}}
{{- $config = include "airdock.merge" (dict "base" $config "over" (include (printf "airdock.executor.%s.config" .) $ | fromYaml)) | fromJson -}}
{{- end -}}
{{- include "airdock.merge" (dict "base" $config "over" .Values.airflow.config) -}}
{{- end }}

{{- /* airflow.cfg. Values are literal: percent signs are doubled for ConfigParser, and the second and later lines of a value are indented. */ -}}
{{- define "airdock.airflowCfg" -}}
{{- $config := include "airdock.config" . | fromJson -}}
{{- range include "airdock.settingsInEnv" . | fromYamlArray -}}
{{- $path := splitList "." . -}}
{{- with get $config (first $path) }}{{ $_ := unset . (last $path) }}{{ end -}}
{{- end -}}
{{- range $section, $options := $config }}
{{- if $options }}
[{{ $section }}]
{{- range $key, $value := $options }}
{{ $key }} = {{ kindIs "string" $value | ternary $value (toJson $value) | toString | replace "%" "%%" | replace "\n" "\n  " }}
{{- end }}
{{ end }}
{{- end -}}
{{- end }}
