{{- /*
The rules of a component beyond the release's own connections, as a JSON map with ingress and egress: networkPolicy.<component>,
networkPolicy.metadata, the collectors that airflow.config names, the triggerer's tasks.clusters, and the service mesh. Call with (dict "root" $ "component" "worker").
*/ -}}
{{- define "airdock.extraRules" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $stores := dict "postgres" "database" "redis" "broker" "pooler" "pooler" -}}
{{- $airflow := dict "api-server" "apiServer" "scheduler" "scheduler" "dag-processor" "dagProcessor" "triggerer" "triggerer" -}}
{{- range include "airdock.executors" .root | fromJson }}{{ $_ := set $airflow .component "workers" }}{{ end -}}
{{- $given := get $policy (get (merge dict $airflow $stores) .component) | default dict -}}
{{- $mesh := include "airdock.mesh" .root | fromJson -}}
{{- $egress := concat ($given.egress | default list) $mesh.egress | default list -}}
{{- if hasKey $airflow .component -}}
{{- if and (eq true $policy.metadata) $policy.metadataAddresses -}}
{{- $peers := list -}}
{{- range $policy.metadataAddresses }}{{ $peers = append $peers (dict "ipBlock" (dict "cidr" .)) }}{{ end -}}
{{- /* 988: GKE's metadata server on nodes without Dataplane V2. */ -}}
{{- $egress = append $egress (dict "to" $peers "ports" (list (dict "port" 80) (dict "port" 988))) -}}
{{- end -}}
{{- /* With open egress, the others reach any address already. */ -}}
{{- if or (eq .component "scheduler") (ne $policy.egress "open") -}}
{{- $egress = concat $egress (include "airdock.collectors" .root | fromJsonArray) | default list -}}
{{- end -}}
{{- end -}}
{{- if eq .component "triggerer" -}}
{{- $egress = concat $egress (include "airdock.clusterEgress" (dict "root" .root "clusters" (include "airdock.clustersOfTriggerer" .root | fromJson)) | fromJsonArray) | default list -}}
{{- end -}}
{{- dict "ingress" (concat ($given.ingress | default list) $mesh.ingress | default list) "egress" $egress | toJson -}}
{{- end }}

{{- /*
Egress rules for the StatsD and OpenTelemetry servers that airflow.config and airflow.env name, as a JSON list. The port is the one named
there, so a Service must have the port of its pods. A server outside the cluster is reached by name only if egress is open.
*/ -}}
{{- define "airdock.collectors" -}}
{{- $servers := list -}}
{{- range $section := list "metrics" "traces" -}}
{{- $config := get $.Values.airflow.config $section | default dict -}}
{{- range $kind, $defaults := dict "statsd" (dict "protocol" "UDP" "port" 8125) "otel" (dict "protocol" "TCP" "port" 8889) -}}
{{- if has (get $config (printf "%s_on" $kind) | toString | lower) (list "true" "t" "1") -}}
{{- $port := get $config (printf "%s_port" $kind) | default $defaults.port | int -}}
{{- $servers = append $servers (dict "host" (get $config (printf "%s_host" $kind) | toString) "port" $port "protocol" $defaults.protocol) -}}
{{- if eq $kind "otel" -}}
{{- range $name := list "OTEL_EXPORTER_OTLP_ENDPOINT" (printf "OTEL_EXPORTER_OTLP_%s_ENDPOINT" (upper $section)) -}}
{{- with regexFind "^https?://[^/:@]+(:[0-9]{1,5})?(/|$)" (get $.Values.airflow.env $name | toString) -}}
{{- $address := regexReplaceAll "^https?://|/$" . "" | splitList ":" -}}
{{- $servers = append $servers (dict "host" (first $address) "port" (index (append $address "4318") 1 | int) "protocol" "TCP") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $rules := list -}}
{{- range $servers -}}
{{- $to := list -}}
{{- if regexMatch "^[^.]+\\.[^.]+\\.svc(\\.|$)" .host -}}
{{- $to = list (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" (index (splitList "." .host) 1)))) -}}
{{- else if regexMatch "^[0-9]+(\\.[0-9]+){3}$" .host -}}
{{- $to = list (dict "ipBlock" (dict "cidr" (printf "%s/32" .host))) -}}
{{- else if and (contains "." .host) (eq $.Values.networkPolicy.egress "open") -}}
{{- $to = include "airdock.anyAddress" $ | fromJsonArray -}}
{{- end -}}
{{- if $to }}{{ $rules = append $rules (dict "to" $to "ports" (list (dict "port" .port "protocol" .protocol))) }}{{ end -}}
{{- end -}}
{{- toJson (uniq $rules) -}}
{{- end }}

{{- /*
What the service mesh in networkPolicy.mesh needs, as a JSON map. ports: the port at which a pod takes all connections of the mesh, in the
place of their own. egress and ingress: rules of every pod.
Istio: https://istio.io/latest/docs/ops/deployment/application-requirements/ and https://istio.io/latest/docs/ambient/usage/networkpolicy/.
Linkerd: https://linkerd.io/2/common-errors/network-policy/; the control plane's ports are those of its chart.
*/ -}}
{{- define "airdock.mesh" -}}
{{- $mesh := .Values.networkPolicy.mesh | default dict -}}
{{- $kind := $mesh.type | default "" -}}
{{- $rules := dict "ports" list "ingress" list "egress" list -}}
{{- $to := dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" ($mesh.namespace | default (hasPrefix "istio" $kind | ternary "istio-system" "linkerd")))) -}}
{{- if eq $kind "istio" -}}
{{- $pods := dict "podSelector" (dict "matchLabels" (dict "app" "istiod")) -}}
{{- $_ := set $rules "egress" (list (dict "to" (list (merge $pods $to)) "ports" (list (dict "port" 15012)))) -}}
{{- else if eq $kind "istio-ambient" -}}
{{- $_ := set $rules "ports" (list (dict "port" 15008)) -}}
{{- /* The kubelet's probes arrive from this address. */ -}}
{{- $_ := set $rules "ingress" (list (dict "from" (list (dict "ipBlock" (dict "cidr" "169.254.7.127/32"))))) -}}
{{- else if eq $kind "linkerd" -}}
{{- $_ := set $rules "ports" (list (dict "port" 4143)) -}}
{{- $pods := dict "podSelector" (dict "matchExpressions" (list (dict "key" "linkerd.io/control-plane-component" "operator" "In" "values" (list "destination" "identity")))) -}}
{{- $_ := set $rules "egress" (list (dict "to" (list (merge $pods $to)) "ports" (list (dict "port" 8080) (dict "port" 8086) (dict "port" 8090)))) -}}
{{- end -}}
{{- toJson $rules -}}
{{- end }}

{{- /* The ports of a connection between pods, as a JSON list: its own and the mesh's. Call with (dict "root" $ "port" 8080), and "protocol" UDP. */ -}}
{{- define "airdock.ports" -}}
{{- $port := dict "port" .port -}}
{{- if .protocol -}}
{{- list (set $port "protocol" .protocol) | toJson -}}
{{- else -}}
{{- prepend (include "airdock.mesh" .root | fromJson).ports $port | toJson -}}
{{- end -}}
{{- end }}
