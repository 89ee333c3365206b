{{- /* The connections between the release's pods. All others are denied. */ -}}
{{- define "airdock.flows" -}}
{{- $workers := list -}}
{{- range include "airdock.executors" . | fromJson }}{{ $workers = append $workers .component }}{{ end -}}
{{- if .Values.controlPlane.enabled }}
- {from: {{ toJson $workers }}, to: api-server, port: 8080}
{{- range include "airdock.executors" . | fromJson }}
{{- if not .podPerTask }}
- {from: [api-server], to: {{ .component }}, port: 8793}
{{- end }}
{{- end }}
- {from: [api-server], to: triggerer, port: 8794}
{{- if .Values.tests.enabled }}
- {from: [test], to: api-server, port: 8080}
{{- end }}
{{- end }}
{{- if include "airdock.pooled" . }}
- {from: {{ include "airdock.databaseClients" . }}, to: pooler, port: 6432}
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "database") }}
- {from: {{ include "airdock.serverClients" . }}, to: postgres, port: 5432}
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "broker") }}
- {from: {{ include "airdock.brokerClients" . }}, to: redis, port: 6379}
{{- end }}
{{- if include "airdock.exported" . }}
- {from: {{ include "airdock.measuredComponents" . }}, to: statsd, port: 9125, protocol: UDP}
{{- end }}
{{- end }}

{{- /* The components that send metrics, as a JSON list. */ -}}
{{- define "airdock.measuredComponents" -}}
{{- $components := .Values.controlPlane.enabled | ternary (list "api-server" "scheduler" "dag-processor" "triggerer") list -}}
{{- range include "airdock.executors" . | fromJson }}{{ $components = append $components .component }}{{ end -}}
{{- toJson $components -}}
{{- end }}

{{- /* The components that use the database, as a JSON list. */ -}}
{{- define "airdock.databaseClients" -}}
{{- /* The autoscaler always: so its Kustomize component changes no policy that another component removes. */ -}}
{{- $clients := list "api-server" "scheduler" "dag-processor" "triggerer" "autoscaler" -}}
{{- .Values.database.cleanup.enabled | ternary (append $clients "database-cleanup") $clients | toJson -}}
{{- end }}

{{- /* Those that connect to PostgreSQL itself: of Airflow's, the pooler alone, if there is one. */ -}}
{{- define "airdock.serverClients" -}}
{{- $clients := include "airdock.pooled" . | empty | ternary (include "airdock.databaseClients" . | fromJsonArray) (list "pooler") -}}
{{- include "airdock.backsUp" . | empty | ternary $clients (append $clients "database-backup") | toJson -}}
{{- end }}

{{- /* The components that use the broker, as a JSON list. */ -}}
{{- define "airdock.brokerClients" -}}
{{- $clients := .Values.controlPlane.enabled | ternary (list "scheduler") list -}}
{{- range include "airdock.executors" . | fromJson }}{{ if .broker }}{{ $clients = append $clients .component }}{{ end }}{{ end -}}
{{- toJson $clients -}}
{{- end }}

{{- /* The components that use each data store. They get a separate policy, whose egress is to the embedded store or to an external one. */ -}}
{{- define "airdock.storeClients" -}}
{{- if .Values.controlPlane.enabled }}
database: {component: postgres, port: 5432, clients: {{ include "airdock.serverClients" . }}}
{{- end }}
{{- if include "airdock.anyExecutor" (dict "root" . "fact" "broker") }}
broker: {component: redis, port: 6379, clients: {{ include "airdock.brokerClients" . }}}
{{- end }}
{{- end }}

{{- /* The components, and what they can reach outside the release: dns, apiServer (of Kubernetes), world. */ -}}
{{- define "airdock.reach" -}}
{{- $pods := include "airdock.anyExecutor" (dict "root" . "fact" "podPerTask") -}}
{{- range include "airdock.executors" . | fromJson }}
{{ .component }}: [dns, world]
{{- end }}
{{- if .Values.controlPlane.enabled }}
api-server: [dns, world{{ if or $pods (include "airdock.secretsToCreate" .) }}, apiServer{{ end }}]
scheduler: [dns{{ if $pods }}, apiServer{{ end }}]
dag-processor: [dns, world]
{{- if include "airdock.autoscales" . }}
autoscaler: [dns, apiServer]
{{- end }}
{{- if .Values.database.cleanup.enabled }}
database-cleanup: [dns]
{{- end }}
{{- if .Values.tests.enabled }}
test: [dns]
{{- end }}
triggerer: [dns, world{{ if include "airdock.queuesServing" (dict "root" . "what" "kubernetes") }}, apiServer{{ end }}]
{{- end }}
{{- if include "airdock.pooled" . }}
pooler: [dns]
{{- end }}
{{- if include "airdock.exported" . }}
statsd: []
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "database") }}
postgres: []
{{- end }}
{{- if include "airdock.backsUp" . }}
database-backup: [dns]
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "broker") }}
redis: []
{{- end }}
{{- end }}

{{- /*
Any address of an IP family except the metadata addresses, as a JSON list of peers. In some network plugins an ipBlock matches no pods, in
Cilium no nodes either.
*/ -}}
{{- define "airdock.anyAddress" -}}
{{- $except := dict "0.0.0.0/0" list "::/0" list -}}
{{- range .Values.networkPolicy.metadataAddresses -}}
{{- $any := contains ":" . | ternary "::/0" "0.0.0.0/0" -}}
{{- $_ := set $except $any (append (get $except $any) .) -}}
{{- end -}}
{{- $peers := list -}}
{{- range $cidr, $holes := $except -}}
{{- $peers = append $peers (dict "ipBlock" (merge (dict "cidr" $cidr) (empty $holes | ternary dict (dict "except" $holes)))) -}}
{{- end -}}
{{- toJson $peers -}}
{{- end }}

{{- /* Egress rules by what they reach, as a YAML map of name to list of rules. A rule without a peer would reach everything. */ -}}
{{- define "airdock.egressRules" -}}
{{- $any := include "airdock.anyAddress" . | fromJsonArray -}}
{{- with .Values.networkPolicy.dns }}
dns:
  - to: {{ toJson . }}
    # OpenShift's DNS pods listen on 5353.
    ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}, {port: 5353, protocol: UDP}, {port: 5353, protocol: TCP}]
{{- else }}
dns: []
{{- end }}
apiServer:
  - ports: [{port: 443}, {port: 6443}]
    {{- with .Values.networkPolicy.apiServerCIDR }}
    to: [{ipBlock: {cidr: {{ . | quote }}}}]
    {{- else }}
    to: {{ toJson $any }}
    {{- end }}
{{- /* Without the pods of Airdock releases. Their ingress rules deny these connections, too: in many network plugins an ipBlock matches pods. */}}
{{- $others := dict "matchExpressions" (list (dict "key" "app.kubernetes.io/name" "operator" "NotIn" "values" (list (.Values.nameOverride | default .Chart.Name)))) }}
foreign:
  - to: {{ prepend $any (dict "namespaceSelector" dict "podSelector" $others) | toJson }}
{{- $world := list }}
{{- if eq .Values.networkPolicy.egress "open" }}
{{- $world = list (dict "to" (prepend $any (dict "namespaceSelector" dict))) }}
{{- end }}
{{- /* concat gives null for two empty lists. */}}
world: {{ concat $world .Values.networkPolicy.egressRules | default list | toJson }}
{{- end }}

{{- /* "true" if the release has CiliumNetworkPolicies. */ -}}
{{- define "airdock.cilium" -}}
{{- $found := .Capabilities.APIVersions.Has "cilium.io/v2/CiliumNetworkPolicy" -}}
{{- if and .Values.networkPolicy.enabled (or (eq .Values.networkPolicy.cilium "always") (and (eq .Values.networkPolicy.cilium "auto") $found)) }}true{{ end -}}
{{- end }}
