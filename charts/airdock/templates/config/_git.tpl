{{- /*
DAGs from Git repositories: dags.git. Each becomes a bundle (files/airdock_git.py) and a connection that names files. Only the pods that clone
have these files. Each define is called with the root, unless it says otherwise.
*/ -}}

{{- /* What a URL says, as a JSON map with scheme (ssh or https), host and known (the host as known_hosts writes it); {} for other URLs. */ -}}
{{- define "airdock.gitUrl" -}}
{{- $found := dict -}}
{{- if regexMatch "^https://[^/@\\s]+/\\S+$" . -}}
{{- $found = dict "scheme" "https" "host" (urlParse .).hostname -}}
{{- else if regexMatch "^ssh://[A-Za-z0-9._-]+@[A-Za-z0-9.-]+(:[0-9]+)?/\\S+$" . -}}
{{- $parts := urlParse . -}}
{{- $port := trimPrefix $parts.hostname $parts.host | trimPrefix ":" -}}
{{- $plain := has $port (list "" "22") -}}
{{- $found = dict "scheme" "ssh" "host" $parts.hostname "known" ($plain | ternary $parts.hostname (printf "[%s]:%s" $parts.hostname $port)) -}}
{{- else if regexMatch "^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\\s:]+$" . -}}
{{- $host := regexReplaceAll "^[^@]+@([^:]+):.*$" . "${1}" -}}
{{- $found = dict "scheme" "ssh" "host" $host "known" $host -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* The repositories, as a JSON map of name to values, with what the values leave out, and `url` of airdock.gitUrl. */ -}}
{{- define "airdock.gitRepositories" -}}
{{- $found := dict -}}
{{- range $name, $git := .Values.dags.git -}}
{{- if $git -}}
{{- $keys := dict "sshKey" "ssh-privatekey" "username" "username" "token" "token" -}}
{{- $given := dict -}}
{{- range $key, $value := $git }}{{ if not (kindIs "invalid" $value) }}{{ $_ := set $given $key $value }}{{ end }}{{ end -}}
{{- $base := dict "ref" "main" "subdir" "" "sshKeySecret" "" "knownHosts" "" "acceptAnyHostKey" false "tokenSecret" "" "keys" $keys "url" (include "airdock.gitUrl" $git.repository | fromJson) -}}
{{- $_ := set $found $name (include "airdock.merge" (dict "base" $base "over" $given) | fromJson) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- define "airdock.gitConnectionId" -}}
airdock_git_{{ . | replace "-" "_" }}
{{- end }}

{{- /* All bundles, as a JSON list: dags.bundles, then dags.git. */ -}}
{{- define "airdock.bundles" -}}
{{- $bundles := .Values.dags.bundles -}}
{{- range $name, $git := include "airdock.gitRepositories" . | fromJson -}}
{{- $kwargs := dict "repo_url" $git.repository "git_conn_id" (include "airdock.gitConnectionId" $name) "tracking_ref" $git.ref -}}
{{- with $git.subdir }}{{ $_ := set $kwargs "subdir" . }}{{ end -}}
{{- with $git.refreshSeconds }}{{ $_ := set $kwargs "refresh_interval" (int .) }}{{ end -}}
{{- $bundles = append $bundles (dict "name" $name "classpath" "airdock_git.GitDagBundle" "kwargs" $kwargs) -}}
{{- end -}}
{{- toJson $bundles -}}
{{- end }}

{{- /* The connections, as environment variables of every Airflow container: also those that clone nothing create the bundles. */ -}}
{{- define "airdock.gitConnections" -}}
{{- range $name, $git := include "airdock.gitRepositories" . | fromJson }}
{{- $extra := dict -}}
{{- if eq $git.url.scheme "ssh" -}}
{{- $directory := printf "/run/airdock-git/%s" $name -}}
{{- $extra = dict "key_file" (printf "%s/ssh-key" $directory) "ssh_config_file" "/run/airdock-git/ssh_config" -}}
{{- if $git.acceptAnyHostKey -}}
{{- $_ := set $extra "strict_host_key_checking" "no" -}}
{{- else -}}
{{- $_ := merge $extra (dict "strict_host_key_checking" "yes" "known_hosts_file" (printf "%s/known_hosts" $directory)) -}}
{{- end -}}
{{- end }}
AIRFLOW_CONN_{{ include "airdock.gitConnectionId" $name | upper }}: {{ include "airdock.literalValue" (dict "conn_type" "git" "host" $git.repository "extra" $extra) }}
{{- end }}
{{- end }}

{{- /* The names of the Secrets, as a JSON list. */ -}}
{{- define "airdock.gitSecrets" -}}
{{- $names := list -}}
{{- range include "airdock.gitRepositories" . | fromJson }}{{ $names = concat $names (compact (list .sshKeySecret .tokenSecret)) }}{{ end -}}
{{- uniq $names | toJson -}}
{{- end }}

{{- /* The data of the ConfigMap with host keys; nothing without a repository by ssh. */ -}}
{{- define "airdock.gitData" -}}
{{- $hosts := dict -}}
{{- $ssh := false -}}
{{- range $name, $git := include "airdock.gitRepositories" . | fromJson -}}
{{- if eq $git.url.scheme "ssh" }}{{ $ssh = true }}{{ end -}}
{{- if $git.knownHosts }}{{ $_ := set $hosts (printf "known_hosts.%s" $name) $git.knownHosts }}{{ end -}}
{{- end -}}
{{- if $ssh -}}
# One host that does not answer must not delay the other repositories for minutes.
ssh_config: |
  BatchMode yes
  ConnectTimeout 20
  ServerAliveInterval 15
  ServerAliveCountMax 4
{{- range $key, $text := $hosts }}
{{ $key }}: {{ include "airdock.text" $text }}
{{- end }}
{{- end -}}
{{- end }}

{{- /*
What a container needs to clone, as a YAML map with env, volumes and volumeMounts. git asks a command for the token, so it is in no environment
and no URL.
*/ -}}
{{- define "airdock.gitParts" -}}
{{- $sources := list -}}
{{- $env := dict -}}
{{- $items := list (dict "key" "ssh_config" "path" "ssh_config") -}}
{{- $count := 0 -}}
{{- range $name, $git := include "airdock.gitRepositories" . | fromJson -}}
{{- if $git.knownHosts }}{{ $items = append $items (dict "key" (printf "known_hosts.%s" $name) "path" (printf "%s/known_hosts" $name)) }}{{ end -}}
{{- with $git.sshKeySecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" . "items" (list (dict "key" $git.keys.sshKey "path" (printf "%s/ssh-key" $name))))) -}}
{{- end -}}
{{- with $git.tokenSecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" . "items" (list (dict "key" $git.keys.token "path" (printf "%s/token" $name))))) -}}
{{- $sources = append $sources (dict "secret" (dict "name" . "optional" true "items" (list (dict "key" $git.keys.username "path" (printf "%s/username" $name))))) -}}
{{- $_ := set $env (printf "GIT_CONFIG_KEY_%d" $count) (printf "credential.%s.helper" $git.repository) -}}
{{- $helper := printf "!f() { test \"$1\" = get || exit 0; cd /run/airdock-git/%s; printf 'username=%%s\\npassword=%%s\\n' \"$(test -e username && cat username || echo git)\" \"$(cat token)\"; }; f" $name -}}
{{- $_ := set $env (printf "GIT_CONFIG_VALUE_%d" $count) ($helper | replace "$" "$$") -}}
{{- $count = add1 $count -}}
{{- end -}}
{{- end -}}
{{- if $count }}{{ $_ := set $env "GIT_CONFIG_COUNT" (toString $count) }}{{ end -}}
{{- if include "airdock.gitData" . -}}
{{- $sources = prepend $sources (dict "configMap" (dict "name" (printf "%s-git" (include "airdock.fullname" .)) "items" $items)) -}}
{{- end -}}
env: {{ toJson $env }}
{{- if $sources }}
volumes: {git: {projected: {defaultMode: 288, sources: {{ toJson $sources }}}}}
volumeMounts: {git: {mountPath: /run/airdock-git, readOnly: true}}
{{- else }}
volumes: {}
volumeMounts: {}
{{- end }}
{{- end }}
