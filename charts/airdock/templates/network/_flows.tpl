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
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "database") }}
- {from: [api-server, scheduler, dag-processor, triggerer], to: postgres, port: 5432}
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "broker") }}
- {from: {{ include "airdock.brokerClients" . }}, to: redis, port: 6379}
{{- end }}
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
database: {component: postgres, port: 5432, clients: [api-server, scheduler, dag-processor, triggerer]}
{{- end }}
{{- if include "airdock.anyExecutor" (dict "root" . "fact" "broker") }}
broker: {component: redis, port: 6379, clients: {{ include "airdock.brokerClients" . }}}
{{- end }}
{{- end }}

{{- /* The components, and what they can reach outside the release: dns, kubernetes (the API server), world. */ -}}
{{- define "airdock.reach" -}}
{{- $pods := include "airdock.anyExecutor" (dict "root" . "fact" "podPerTask") -}}
{{- range include "airdock.executors" . | fromJson }}
{{ .component }}: [dns, world]
{{- end }}
{{- if .Values.controlPlane.enabled }}
api-server: [dns, world{{ if or $pods (include "airdock.secretsToCreate" .) }}, kubernetes{{ end }}]
scheduler: [dns{{ if $pods }}, kubernetes{{ end }}]
dag-processor: [dns, world]
triggerer: [dns, world{{ if include "airdock.queuesServing" (dict "root" . "what" "kubernetes") }}, kubernetes{{ end }}]
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "database") }}
postgres: []
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "broker") }}
redis: []
{{- end }}
{{- end }}

{{- /* Egress rules by what they reach, as a YAML map of name to list of rules. */ -}}
{{- define "airdock.egressRules" -}}
# No peer, because NodeLocal DNS has an address of the node, which no selector matches. OpenShift uses port 5353.
dns:
  - ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}, {port: 5353, protocol: UDP}, {port: 5353, protocol: TCP}]
kubernetes:
  - ports: [{port: 443}, {port: 6443}]
    {{- with .Values.networkPolicy.apiServerCIDR }}
    to: [{ipBlock: {cidr: {{ . | quote }}}}]
    {{- end }}
{{- if eq .Values.networkPolicy.egress "strict" }}
world: {{ toJson .Values.networkPolicy.egressRules }}
{{- else }}
# Everything except the cloud's metadata addresses. In some network plugins an ipBlock matches no pods, hence the namespaceSelector.
world:
  - to:
      - namespaceSelector: {}
      - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}
      - ipBlock: {cidr: "::/0", except: ["fd00:ec2::254/128"]}
{{- end }}
{{- end }}
