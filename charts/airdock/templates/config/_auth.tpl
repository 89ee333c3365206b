{{- /* Who signs in, and how: auth. */ -}}

{{- /* The class of the auth manager. */ -}}
{{- define "airdock.authManager" -}}
{{- $known := dict "fab" "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager" "simple" "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager" -}}
{{- get $known .Values.auth.manager | default .Values.auth.manager -}}
{{- end }}

{{- /* "true" if the chart gives the auth manager a first administrator: other managers than these two have their own users. */ -}}
{{- define "airdock.hasAdmin" -}}
{{- if has .Values.auth.manager (list "simple" "fab") }}true{{ end -}}
{{- end }}

{{- /* The data of the ConfigMap at /opt/airflow/webserver. */ -}}
{{- define "airdock.webserverConfigData" -}}
{{- $text := .Values.auth.webserverConfig -}}
{{- if .Values.auth.oidc.issuer }}{{ $text = printf "%s\n\n%s" $text (.Files.Get "files/auth/oidc.py") }}{{ end -}}
webserver_config.py: {{ include "airdock.text" $text }}
{{- if .Values.auth.oidc.issuer }}
oidc.json: {{ include "airdock.oidcSettings" . | quote }}
{{- end }}
{{- if .Values.auth.users }}
create_users.py: |
  {{- .Files.Get "files/auth/create_users.py" | nindent 2 }}
{{- end }}
{{- end }}

{{- define "airdock.webserverConfigChecksum" -}}
{{- $more := or .Values.auth.oidc.issuer .Values.auth.users -}}
{{- empty $more | ternary .Values.auth.webserverConfig (include "airdock.webserverConfigData" .) | sha256sum -}}
{{- end }}

{{- /* What files/auth/oidc.py reads, as JSON: no secret. */ -}}
{{- define "airdock.oidcSettings" -}}
{{- $local := list -}}
{{- range prepend (keys .Values.auth.users | sortAlpha) .Values.auth.admin.username }}{{ $local = append $local (lower .) }}{{ end -}}
{{- $settings := pick .Values.auth.oidc "clientId" "name" "scopes" "usernameClaim" "roleClaim" "roles" "defaultRole" -}}
{{- merge (dict "issuer" (trimSuffix "/" .Values.auth.oidc.issuer) "localUsers" $local) $settings | toJson -}}
{{- end }}

{{- /* The client's secret, for the api-server alone; a YAML map. */ -}}
{{- define "airdock.oidcEnv" -}}
{{- $oidc := .Values.auth.oidc -}}
{{- if $oidc.issuer }}
AIRDOCK_OIDC_CLIENT_SECRET: {valueFrom: {secretKeyRef: {name: {{ $oidc.clientSecret.secret | quote }}, key: {{ $oidc.clientSecret.key | quote }}}}}
{{- end }}
{{- end }}

{{- /* What files/auth/create_users.py reads, as JSON. */ -}}
{{- define "airdock.localUsersEnv" -}}
{{- $users := list -}}
{{- $env := dict -}}
{{- range $name, $user := .Values.auth.users -}}
{{- $secret := dict "name" $user.secret "key" ($user.key | default "password") -}}
{{- $_ := set $env (printf "AIRDOCK_USER_PASSWORD_%d" (len $users)) (dict "valueFrom" (dict "secretKeyRef" $secret)) -}}
{{- $email := $user.email | default (printf "%s@users.invalid" (replace "@" "." $name)) -}}
{{- $users = append $users (dict "username" $name "roles" $user.roles "email" $email "firstName" ($user.firstName | default $name) "lastName" ($user.lastName | default "")) -}}
{{- end -}}
{{- set $env "AIRDOCK_USERS" (toJson $users | replace "$" "$$") | toJson -}}
{{- end }}
