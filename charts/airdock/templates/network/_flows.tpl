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
{{- $components := .Values.controlPlane.enabled | ternary (include "airdock.airflowComponents" . | fromJsonArray) list -}}
{{- range include "airdock.executors" . | fromJson }}{{ $components = append $components .component }}{{ end -}}
{{- toJson $components -}}
{{- end }}

{{- /* The components that use the database, as a JSON list. */ -}}
{{- define "airdock.databaseClients" -}}
{{- /* The autoscaler always: so its Kustomize component changes no policy that another component removes. */ -}}
{{- $clients := append (include "airdock.airflowComponents" . | fromJsonArray) "autoscaler" -}}
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
