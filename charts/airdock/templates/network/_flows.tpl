{{- /* Who talks to whom inside the release; everything else between its pods is denied. */ -}}
{{- define "airdock.flows" -}}
{{- $celery := include "airdock.runs" (dict "root" . "executor" "CeleryExecutor") -}}
{{- $pods := include "airdock.runs" (dict "root" . "executor" "KubernetesExecutor") -}}
{{- if .Values.controlPlane.enabled }}
- {from: {{ concat (empty $celery | ternary list (list "worker")) (empty $pods | ternary list (list "kubernetes-executor")) | toJson }}, to: api-server, port: 8080}
{{- if $celery }}
- {from: [api-server], to: worker, port: 8793}
{{- end }}
- {from: [api-server], to: triggerer, port: 8794}
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "database") }}
- {from: [api-server, scheduler, dag-processor, triggerer], to: postgres, port: 5432}
{{- end }}
{{- if include "airdock.embedded" (dict "root" . "store" "broker") }}
- {from: [scheduler, worker], to: redis, port: 6379}
{{- end }}
{{- end }}

{{- /* Who uses a data store, which has its way out in a policy of its own: an external store takes the embedded one's place there. */ -}}
{{- define "airdock.storeClients" -}}
{{- if .Values.controlPlane.enabled }}
database: {component: postgres, port: 5432, clients: [api-server, scheduler, dag-processor, triggerer]}
{{- end }}
{{- if include "airdock.runs" (dict "root" . "executor" "CeleryExecutor") }}
broker: {component: redis, port: 6379, clients: [{{ if .Values.controlPlane.enabled }}scheduler, {{ end }}worker]}
{{- end }}
{{- end }}

{{- /* The components, and what they may reach outside the release: dns, kubernetes (the API server), world. */ -}}
{{- define "airdock.reach" -}}
{{- $pods := include "airdock.runs" (dict "root" . "executor" "KubernetesExecutor") -}}
worker: [dns, world]
kubernetes-executor: [dns, world]
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
# No peer: NodeLocal DNS is a node address, which a selector never matches; 5353 is OpenShift's.
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
# All but the cloud's metadata addresses. The namespaceSelector is for network plugins whose ipBlock matches no pod.
world:
  - to:
      - namespaceSelector: {}
      - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}
      - ipBlock: {cidr: "::/0", except: ["fd00:ec2::254/128"]}
{{- end }}
{{- end }}
