{{- /* The HTTP proxy: proxy for the release, workers.<name>.dind.proxy for a daemon. */ -}}

{{- /* "true" if a proxy is set. Call with one of the two. */ -}}
{{- define "airdock.hasProxy" -}}
{{- if or .http .https .existingSecret }}true{{ end -}}
{{- end }}

{{- /*
A proxy as environment variables, a YAML map; nothing if none is set. Programs differ in the names that they read: each setting has a list of
them. "direct" are hosts that this pod reaches without the proxy, beside itself and the cluster's Services. "dollar" is how a $ is written: $$ for
the kubelet, unless given.
Call with (dict "proxy" $proxy "direct" $listOfHosts "names" (dict "http" $names "https" $names "direct" $names)).
*/ -}}
{{- define "airdock.proxyEnv" -}}
{{- $proxy := .proxy -}}
{{- $names := .names -}}
{{- if include "airdock.hasProxy" $proxy }}
{{- range $key := list "http" "https" }}
{{- range $name := get $names $key }}
{{- if $proxy.existingSecret }}
{{ $name }}: {valueFrom: {secretKeyRef: {name: {{ $proxy.existingSecret | quote }}, key: {{ $key }}}}}
{{- else }}
{{- with get $proxy $key }}
{{ $name }}: {{ . | replace "$" ($.dollar | default "$$") | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $names.direct }}
{{ . }}: {{ concat (list "localhost" "127.0.0.1" "::1" ".svc" ".cluster.local") $.direct | uniq | join "," | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Those that programs read: curl reads http_proxy in small letters only, others capitals only. */ -}}
{{- define "airdock.proxyNames" -}}
{"http": ["HTTP_PROXY", "http_proxy"], "https": ["HTTPS_PROXY", "https_proxy"], "direct": ["NO_PROXY", "no_proxy"]}
{{- end }}

{{- /* The variables of an Airflow container. */ -}}
{{- define "airdock.releaseProxyEnv" -}}
{{- /* The kubelet puts in the address of the API server of Kubernetes, and airdock.envData has the other name. */ -}}
{{- $direct := append .Values.proxy.noProxy "$(KUBERNETES_SERVICE_HOST)" -}}
{{- if .Values.controlPlane.enabled -}}
{{- $direct = append $direct "$(AIRDOCK_API_SERVER_HOST)" -}}
{{- else -}}
{{- $direct = append $direct ((urlParse .Values.controlPlane.executionApiUrl).hostname) -}}
{{- end -}}
{{- include "airdock.proxyEnv" (dict "proxy" .Values.proxy "direct" $direct "names" (include "airdock.proxyNames" . | fromJson)) -}}
{{- end }}

{{- /* The variables of task pods, as a YAML map; nothing if they do not get the proxy. */ -}}
{{- define "airdock.taskProxyEnv" -}}
{{- $proxy := .Values.proxy -}}
{{- if eq true $proxy.tasks -}}
{{- /* Who writes the pods doubles $ for the kubelet. */ -}}
{{- include "airdock.proxyEnv" (dict "proxy" $proxy "direct" $proxy.noProxy "names" (include "airdock.proxyNames" . | fromJson) "dollar" "$") -}}
{{- end -}}
{{- end }}

{{- /* The proxy of a group's daemon, as JSON: its own, otherwise the release's. Call with (dict "group" $group "root" $). */ -}}
{{- define "airdock.dindProxy" -}}
{{- $own := .group.dind.proxy -}}
{{- $release := .root.Values.proxy -}}
{{- if or (include "airdock.hasProxy" $own) (not (include "airdock.hasProxy" $release)) -}}
{{- toJson $own -}}
{{- else -}}
{{- $noProxy := concat $release.noProxy $own.noProxy | uniq -}}
{{- merge (dict "noProxy" $noProxy "containers" $own.containers) (pick $release "http" "https" "existingSecret") | toJson -}}
{{- end -}}
{{- end }}

{{- /* What is wrong with the URLs of a proxy, as a JSON list. Call with (dict "proxy" $proxy "key" "proxy"). */ -}}
{{- define "airdock.proxyProblems" -}}
{{- $problems := list -}}
{{- range $name := list "http" "https" -}}
{{- with get $.proxy $name -}}
{{- if $.proxy.existingSecret -}}
{{- $problems = append $problems (printf "%s.%s: %s.existingSecret is set, too. Remove one of them." $.key $name $.key) -}}
{{- else if contains "@" . -}}
{{- $problems = append $problems (printf "%s.%s: contains a user name. Put the URL into a Secret, and set %s.existingSecret." $.key $name $.key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.problems.proxy" -}}
{{- $proxy := .Values.proxy -}}
{{- $problems := include "airdock.proxyProblems" (dict "proxy" $proxy "key" "proxy") | fromJsonArray -}}
{{- if include "airdock.hasProxy" $proxy -}}
{{- if not (contains "/" (join "," $proxy.noProxy)) -}}
{{- $problems = append $problems "proxy.noProxy: has no address range, so the api-server would read the logs of workers through the proxy. Add the range of the pods' addresses, such as 10.244.0.0/16." -}}
{{- end -}}
{{- if and (eq true $proxy.tasks) $proxy.existingSecret -}}
{{- $problems = append $problems "proxy.tasks: every task could read the URLs of proxy.existingSecret in its environment. Set it to false, or set proxy.http and proxy.https instead." -}}
{{- end -}}
{{- else if or (eq true $proxy.tasks) $proxy.noProxy -}}
{{- $problems = append $problems "proxy: no proxy is set. Set proxy.http, proxy.https or proxy.existingSecret." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
