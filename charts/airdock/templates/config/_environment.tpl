{{- /*
The data of the ConfigMap whose keys are environment variables of every Airflow container in a namespace. Call with
(dict "root" $ "namespace" $namespace).
*/ -}}
{{- define "airdock.envData" -}}
{{- $scope := . -}}
{{- with .root -}}
# Names and paths from which pods compose URLs and connections: Kustomize can follow a rename here, and not inside a longer string.
AIRDOCK_BASE_PATH: {{ include "airdock.basePath" . | quote }}
{{- if .Values.controlPlane.enabled }}
{{- range $name := concat (list "api-server" "postgres" "redis") (include "airdock.pooled" . | empty | ternary list (list "pooler")) }}
{{- if or (ne $name "redis") (include "airdock.anyExecutor" (dict "root" $scope.root "fact" "broker")) }}
AIRDOCK_{{ $name | snakecase | upper }}_HOST: {{ include "airdock.serviceHost" (merge (dict "name" $name) $scope) }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "airdock.exported" . }}
AIRDOCK_STATSD_HOST: {{ include "airdock.serviceHost" (merge (dict "name" "statsd") $scope) }}
{{- end }}
{{- if include "airdock.anyTaskPods" . }}
AIRDOCK_TASK_NAMESPACE: {{ include "airdock.taskNamespace" . | quote }}
AIRDOCK_TASK_SERVICE_ACCOUNT: {{ include "airdock.fullname" . }}-task
AIRDOCK_XCOM_SIDECAR_IMAGE: {{ include "airdock.image" (dict "root" . "image" .Values.images.xcomSidecar) | quote }}
AIRDOCK_XCOM_SIDECAR_PULL_POLICY: {{ .Values.images.xcomSidecar.pullPolicy }}
{{- if .Values.tasks.admission.enabled }}
AIRDOCK_ADMISSION_FENCE: "true"
{{- end }}
{{- end }}
{{- $config := include "airdock.config" . | fromJson -}}
{{- range include "airdock.settingsInEnv" . | fromYamlArray }}
{{- $path := splitList "." . }}
{{- with get (get $config (first $path) | default dict) (last $path) }}
AIRFLOW__{{ join "__" $path | upper }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /*
Airflow's options for the namespace of KubernetesExecutor, today's and Airflow 2.4's, as environment variables of the components that run
authors' code: DAGs read them to find the namespace of their pods. The scheduler, which runs the executor, does not get them.
*/ -}}
{{- define "airdock.namespaceEnv" -}}
{{- if include "airdock.anyTaskPods" . -}}
# $(NAME) is defined in airdock.envData, and for a group with its own task namespace in airdock.groupTasksEnv.
AIRFLOW__KUBERNETES__NAMESPACE: $(AIRDOCK_TASK_NAMESPACE)
AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE: $(AIRDOCK_TASK_NAMESPACE)
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- /* The environment of every Airflow container, as a YAML map; airflow.env overrides it. */ -}}
{{- define "airdock.airflowEnv" -}}
AIRFLOW_CONFIG: /opt/airflow/config/airflow.cfg
{{- if not (hasKey (.Values.airflow.config.core | default dict) "execution_api_server_url") }}
{{- if .Values.controlPlane.enabled }}
# $(NAME) is defined in airdock.envData.
AIRFLOW__CORE__EXECUTION_API_SERVER_URL: http://$(AIRDOCK_API_SERVER_HOST):8080$(AIRDOCK_BASE_PATH)/execution/
{{- else }}
AIRFLOW__CORE__EXECUTION_API_SERVER_URL: {{ .Values.controlPlane.executionApiUrl | quote }}
{{- end }}
{{- end }}
{{- if include "airdock.exported" . }}
AIRFLOW__METRICS__STATSD_HOST: $(AIRDOCK_STATSD_HOST)
{{- end }}
# The init container has already checked the connections; the image's entrypoint would spend seconds of CPU on it.
CONNECTION_CHECK_MAX_COUNT: "0"
PYTHONUNBUFFERED: "1"
{{- if include "airdock.openshift" . }}
# An assigned uid has no name, which Airflow asks for, and no home.
HOME: /home/airflow
USER: airflow
{{- end }}
{{- include "airdock.releaseProxyEnv" . }}
{{- include "airdock.trustEnv" . }}
{{- range $id, $connection := .Values.airflow.connections }}
AIRFLOW_CONN_{{ $id | upper }}: {{ include "airdock.literalValue" $connection | trim | nindent 2 }}
{{- end }}
{{- include "airdock.gitConnections" . }}
{{- range $key, $variable := .Values.airflow.variables }}
AIRFLOW_VAR_{{ $key | upper }}: {{ include "airdock.literalValue" $variable | trim | nindent 2 }}
{{- end }}
{{- end }}

{{- /* tasks.env of a group, as JSON, with what `proxy` and `trust` add for task pods. Call with (dict "root" $ "tasks" $tasks). */ -}}
{{- define "airdock.taskEnv" -}}
{{- $proxy := include "airdock.taskProxyEnv" .root | fromYaml -}}
{{- $trust := dict -}}
{{- if ne "{}" (include "airdock.trustOfTasks" .root) }}{{ $trust = include "airdock.trustVariables" .root | fromYaml }}{{ end -}}
{{- include "airdock.overlay" (list $proxy $trust .tasks.env) -}}
{{- end }}

{{- /* One connection or variable: a text, Kubernetes' valueFrom, or another value, as JSON. $ is doubled for the kubelet. */ -}}
{{- define "airdock.literalValue" -}}
{{- if kindIs "string" . -}}
{{ . | replace "$" "$$" | quote }}
{{- else if and (kindIs "map" .) (hasKey (kindIs "map" . | ternary . dict) "valueFrom") -}}
{{ toJson . }}
{{- else -}}
{{ toJson . | replace "$" "$$" | quote }}
{{- end -}}
{{- end }}

{{- /* A map of environment variables as JSON: the kubelet reads $$ as $, and would expand $(NAME), in its plain values. */ -}}
{{- define "airdock.literalEnv" -}}
{{- $result := dict -}}
{{- range $name, $value := . }}{{ $_ := set $result $name (kindIs "string" $value | ternary (toString $value | replace "$" "$$") $value) }}{{ end -}}
{{- toJson $result -}}
{{- end }}
