{{- /* dind.init and dind.proxy. Each define is called with (dict "root" $ "name" $name "group" $group). */ -}}

{{- /* The scripts of dind.init, as a JSON map; {} if there are none. */ -}}
{{- define "airdock.dindScriptsToRun" -}}
{{- include "airdock.overlay" (list .group.dind.init.scripts) -}}
{{- end }}

{{- /* "true" if the clients' configuration is a file that is written when the pod starts, instead of the Secret in dind.pullSecret. */ -}}
{{- define "airdock.dindWritesConfig" -}}
{{- if or (include "airdock.dindScriptsToRun" . | fromJson) (and (eq true .group.dind.proxy.containers) (include "airdock.hasProxy" (include "airdock.dindProxy" . | fromJson))) }}true{{ end -}}
{{- end }}

{{- /* The directory of the clients' configuration; empty if there is none. */ -}}
{{- define "airdock.dindConfigDirectory" -}}
{{- if include "airdock.dindWritesConfig" . }}/run/airdock-docker-config{{ else if .group.dind.pullSecret }}/run/airdock-registries{{ end -}}
{{- end }}

{{- /* The volume with the clients' configuration, as a volume mount; nothing if there is none. */ -}}
{{- define "airdock.dindConfigMount" -}}
{{- with include "airdock.dindConfigDirectory" . -}}
{{ hasSuffix "registries" . | ternary "docker-registries" "docker-config" }}: {mountPath: {{ . }}, readOnly: true}
{{- end -}}
{{- end }}

{{- /* The daemon's proxy as variables. Call with (dict "root" $ "group" $group), and "names" as for airdock.proxyEnv if they are others. */ -}}
{{- define "airdock.dindProxyEnv" -}}
{{- $proxy := include "airdock.dindProxy" . | fromJson -}}
{{- $direct := list -}}
{{- if .root.Values.controlPlane.enabled -}}
{{- $direct = append $direct (include "airdock.serviceHost" (dict "root" .root "name" "api-server" "namespace" (include "airdock.workerNamespace" .))) -}}
{{- end -}}
{{- $direct = concat $direct .group.dind.network.clusterCIDRs $proxy.noProxy -}}
{{- $names := .names | default (dict "http" (list "HTTP_PROXY") "https" (list "HTTPS_PROXY") "direct" (list "NO_PROXY")) -}}
{{- include "airdock.proxyEnv" (dict "proxy" $proxy "direct" $direct "names" $names) -}}
{{- end }}

{{- /* Writes the clients' configuration. */ -}}
{{- define "airdock.dindConfig" -}}
name: docker-config
image: airflow
command: [python, -SE, /opt/airdock/client_config.py]
env:
  DOCKER_CONFIG: {{ include "airdock.dindConfigDirectory" . }}
  {{- if .group.dind.pullSecret }}
  AIRDOCK_LOGINS: /run/airdock-registries/config.json
  {{- end }}
  {{- if eq true .group.dind.proxy.containers }}
  {{- $names := dict "http" (list "AIRDOCK_PROXY_HTTP") "https" (list "AIRDOCK_PROXY_HTTPS") "direct" (list "AIRDOCK_PROXY_NONE") }}
  {{- include "airdock.dindProxyEnv" (merge (dict "names" $names) .) | nindent 2 }}
  {{- end }}
resources: {{ toJson .group.dind.prune.resources }}
volumeMounts:
  docker-scripts: {mountPath: /opt/airdock, readOnly: true}
  docker-config: {mountPath: {{ include "airdock.dindConfigDirectory" . }}}
  docker-prune: {mountPath: /tmp}
  {{- if .group.dind.pullSecret }}
  docker-registries: {mountPath: /run/airdock-registries, readOnly: true}
  {{- end }}
{{- end }}

{{- /* Runs the scripts of dind.init. */ -}}
{{- define "airdock.dindInit" -}}
{{- $dind := .group.dind -}}
{{- $words := list "sh" "/opt/airdock/init.sh" -}}
{{- /* The kubelet reads $$ as $, and would expand $(NAME). */ -}}
{{- range $name, $script := include "airdock.dindScriptsToRun" . | fromJson }}{{ $words = concat $words (list $name ($script | replace "$" "$$")) }}{{ end -}}
{{- $own := dict "DOCKER_HOST" "unix:///run/airdock/docker.sock" "DOCKER_CONFIG" (include "airdock.dindConfigDirectory" .) "HOME" "/tmp" "AIRDOCK_INIT" (printf "workers.%s.dind.init" .name) "AIRDOCK_INIT_SECONDS" ($dind.init.timeoutSeconds | int | toString) -}}
{{- $proxy := include "airdock.dindProxyEnv" . | fromYaml -}}
name: docker-init
image: docker
command: {{ toJson $words }}
env: {{ include "airdock.overlay" (list $proxy (include "airdock.literalEnv" (include "airdock.overlay" (list $dind.init.env) | fromJson) | fromJson) $own) }}
resources: {{ toJson $dind.prune.resources }}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
  docker-scripts: {mountPath: /opt/airdock, readOnly: true}
  docker-config: {mountPath: {{ include "airdock.dindConfigDirectory" . }}}
  docker-prune: {mountPath: /tmp}
{{- end }}

{{- /* A JSON list of messages. */ -}}
{{- define "airdock.dindClientProblems" -}}
{{- $proxy := .group.dind.proxy -}}
{{- $key := printf "workers.%s.dind.proxy" .name -}}
{{- $problems := include "airdock.proxyProblems" (dict "proxy" $proxy "key" $key) | fromJsonArray -}}
{{- if not (include "airdock.hasProxy" (include "airdock.dindProxy" . | fromJson)) -}}
{{- if or (eq true $proxy.containers) $proxy.noProxy -}}
{{- $problems = append $problems (printf "%s: no proxy is set. Set %s.http, %s.https or %s.existingSecret." $key $key $key $key) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
