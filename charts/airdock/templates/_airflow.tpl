{{- /* What all Airflow components share: configuration, environment, mounts. */ -}}

{{- /* The URL under which people reach the UI: airflow.config.api.base_url, else the ingress's, else nothing. */ -}}
{{- define "airdock.baseUrl" -}}
{{- $api := .Values.airflow.config.api | default dict -}}
{{- if $api.base_url -}}
{{- $api.base_url | trimSuffix "/" -}}
{{- else if .Values.ingress.enabled -}}
{{- printf "%s://%s%s" (empty .Values.ingress.tlsSecretName | ternary "http" "https") .Values.ingress.host .Values.ingress.path | trimSuffix "/" -}}
{{- end -}}
{{- end }}

{{- /* The path of the base URL, without a trailing slash: Airflow serves everything below it, the execution API included. */ -}}
{{- define "airdock.basePath" -}}
{{- (urlParse (include "airdock.baseUrl" .)).path | trimSuffix "/" -}}
{{- end }}

{{- /* The chart's own settings, by section and key, under the user's airflow.config. */ -}}
{{- define "airdock.defaultConfig" -}}
core:
  executor: {{ .Values.executor }}
  dags_folder: {{ .Values.dags.path | quote }}
  load_examples: false
  # Workers have no DNS name of their own; the log reader takes the pod's address.
  hostname_callable: airflow.utils.net.get_host_ip_address
  {{- if .Values.controlPlane.enabled }}
  auth_manager: airflow.{{ eq .Values.auth.manager "fab" | ternary "providers.fab.auth_manager.fab_auth_manager.FabAuthManager" "api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager" }}
  simple_auth_manager_users: {{ .Values.auth.admin.username }}:admin
  simple_auth_manager_passwords_file: /tmp/passwords.json
  {{- end }}
{{- with include "airdock.baseUrl" . }}
api:
  base_url: {{ . }}
{{- end }}
scheduler:
  enable_health_check: true
{{- if include "airdock.runs" (dict "root" . "executor" "KubernetesExecutor") }}
  # How long pods of a scheduler that died wait for another one; by default 300.
  orphaned_tasks_check_interval: 60
kubernetes_executor:
  # By default the scheduler makes one pod in each round.
  worker_pods_creation_batch_size: 16
{{- end }}
workers:
  # A task outlives an API server that is away for minutes: by default Airflow kills it after three failed heartbeats.
  max_failed_heartbeats: 60
  execution_api_retries: 10
  execution_api_retry_wait_max: 15
{{- with .Values.dags.bundles }}
dag_processor:
  dag_bundle_config_list: {{ toJson . | quote }}
{{- end }}
{{- if eq .Values.auth.manager "fab" }}
fab:
  config_file: /opt/airflow/webserver/webserver_config.py
{{- end }}
{{- with .Values.logs.remote }}
{{- if .baseLogFolder }}
logging:
  remote_logging: true
  remote_base_log_folder: {{ .baseLogFolder | quote }}
  remote_log_conn_id: {{ .connectionId | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The settings that components of the overlays change: in variables of their own, since airflow.cfg is one string. As section.key. */ -}}
{{- define "airdock.settingsInEnv" -}}
[core.auth_manager, api.base_url, fab.config_file]
{{- end }}

{{- define "airdock.config" -}}
{{- include "airdock.merge" (dict "base" (include "airdock.defaultConfig" . | fromYaml) "over" .Values.airflow.config) -}}
{{- end }}

{{- /* airflow.cfg. Values are literal: a percent sign is doubled for ConfigParser, lines after the first are indented. */ -}}
{{- define "airdock.airflowCfg" -}}
{{- $config := include "airdock.config" . | fromJson -}}
{{- range include "airdock.settingsInEnv" . | fromYamlArray -}}
{{- $path := splitList "." . -}}
{{- with get $config (first $path) }}{{ $_ := unset . (last $path) }}{{ end -}}
{{- end -}}
{{- range $section, $options := $config }}
{{- if $options }}
[{{ $section }}]
{{- range $key, $value := $options }}
{{ $key }} = {{ kindIs "string" $value | ternary $value (toJson $value) | toString | replace "%" "%%" | replace "\n" "\n  " }}
{{- end }}
{{ end }}
{{- end -}}
{{- end }}

{{- /*
The data of the ConfigMap whose keys are environment variables of every Airflow container of a namespace. Call with
(dict "root" $ "namespace" $namespace).
*/ -}}
{{- define "airdock.envData" -}}
{{- $scope := . -}}
{{- with .root -}}
# Names and paths from which pods compose URLs and connections: Kustomize can follow a rename here, and not inside a longer string.
AIRDOCK_BASE_PATH: {{ include "airdock.basePath" . | quote }}
{{- if .Values.controlPlane.enabled }}
{{- range $name := list "api-server" "postgres" "redis" }}
{{- if or (ne $name "redis") (include "airdock.runs" (dict "root" $scope.root "executor" "CeleryExecutor")) }}
AIRDOCK_{{ $name | snakecase | upper }}_HOST: {{ include "airdock.serviceHost" (merge (dict "name" $name) $scope) }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "airdock.runsPods" . }}
AIRDOCK_TASK_NAMESPACE: {{ include "airdock.taskNamespace" . | quote }}
AIRDOCK_TASK_SERVICE_ACCOUNT: {{ include "airdock.fullname" . }}-task
AIRDOCK_XCOM_SIDECAR_IMAGE: {{ include "airdock.image" .Values.images.xcomSidecar | quote }}
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

{{- /* The data of the ConfigMap that every Airflow component mounts at /opt/airflow/config. */ -}}
{{- define "airdock.configData" -}}
airflow.cfg: |
  {{- include "airdock.airflowCfg" . | nindent 2 }}
airflow_local_settings.py: |
  {{- .Files.Get "files/airflow_local_settings.py" | nindent 2 }}
airdock_docker_watch.py: |
  {{- .Files.Get "files/airdock_docker_watch.py" | nindent 2 }}
{{- if include "airdock.runs" (dict "root" . "executor" "KubernetesExecutor") }}
airdock_executor_pods.py: |
  {{- .Files.Get "files/airdock_executor_pods.py" | nindent 2 }}
{{- end }}
{{- with .Values.airflow.localSettings }}
airdock_user_settings.py: |
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The data of the ConfigMap of scripts, mounted at /opt/airdock. */ -}}
{{- define "airdock.scriptsData" -}}
{{- range $path, $_ := .Files.Glob "files/scripts/*.py" }}
{{ base $path }}: |
  {{- $.Files.Get $path | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The environment of every Airflow container, as a YAML map: the user's airflow.env wins. */ -}}
{{- define "airdock.airflowEnv" -}}
AIRFLOW_CONFIG: /opt/airflow/config/airflow.cfg
{{- if not (hasKey (.Values.airflow.config.core | default dict) "execution_api_server_url") }}
{{- if .Values.controlPlane.enabled }}
# What $(NAME) stands for is in envData.
AIRFLOW__CORE__EXECUTION_API_SERVER_URL: http://$(AIRDOCK_API_SERVER_HOST):8080$(AIRDOCK_BASE_PATH)/execution/
{{- else }}
AIRFLOW__CORE__EXECUTION_API_SERVER_URL: {{ .Values.controlPlane.executionApiUrl | quote }}
{{- end }}
{{- end }}
# The image's entrypoint would spend seconds of CPU on a check that the init container has made.
CONNECTION_CHECK_MAX_COUNT: "0"
PYTHONUNBUFFERED: "1"
{{- range $id, $connection := .Values.airflow.connections }}
AIRFLOW_CONN_{{ $id | upper }}: {{ include "airdock.connection" $connection | trim | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The queue of tasks whose author named none. */ -}}
{{- define "airdock.defaultQueue" -}}
{{- $env := get .Values.airflow.env "AIRFLOW__OPERATORS__DEFAULT_QUEUE" -}}
{{- kindIs "string" $env | ternary $env (get (.Values.airflow.config.operators | default dict) "default_queue") | default "default" -}}
{{- end }}

{{- /*
A queue of each group for each thing that it serves, as a YAML map: by a variable each, so that a further group changes no other's pods.
The cluster policy routes by them, and example DAGs are made for them. Call with (dict "root" $ "groups" $map).
*/ -}}
{{- define "airdock.queueEnv" -}}
{{- $default := include "airdock.defaultQueue" .root -}}
{{- range $name, $group := .groups -}}
{{- range $what := list "docker" "kubernetes" -}}
{{- if include "airdock.serves" (dict "group" $group "what" $what) }}
{{ printf "AIRDOCK_%s_QUEUE_%s" $what $name | upper | replace "-" "_" }}: {{ has $default $group.queues | ternary $default (first $group.queues) | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* One connection: a URI, a map (as Airflow's JSON form), or Kubernetes' valueFrom. */ -}}
{{- define "airdock.connection" -}}
{{- if kindIs "string" . -}}
{{ . | quote }}
{{- else if hasKey . "valueFrom" -}}
{{ toJson . }}
{{- else -}}
{{ toJson . | quote }}
{{- end -}}
{{- end }}

{{- /*
"true" where a group serves something: "docker" (the Docker API), "kubernetes" (the Kubernetes operators), "gateway" (the Docker API by a
Docker gateway), and "clusterGateway" (one that makes pods). Call with (dict "group" $group "what" $what).
*/ -}}
{{- define "airdock.serves" -}}
{{- $pods := eq .group.mode "kubernetes" -}}
{{- $cluster := and $pods (eq true .group.dockerGateway.enabled) -}}
{{- $daemon := and (eq .group.mode "socket") (eq true .group.socket.filter) -}}
{{- if get (dict "docker" (or $cluster (not $pods)) "kubernetes" (and $pods (eq true .group.kubernetesOperators)) "gateway" (or $cluster $daemon) "clusterGateway" $cluster) .what }}true{{ end -}}
{{- end }}

{{- /* The first queues of the groups that serve something, as airdock.serves has it. Call with (dict "root" $ "what" "docker"). */ -}}
{{- define "airdock.queuesServing" -}}
{{- $queues := list -}}
{{- range $name, $group := include "airdock.workers" .root | fromJson -}}
{{- if include "airdock.serves" (dict "group" $group "what" $.what) -}}
{{- $queues = append $queues (first $group.queues) -}}
{{- end -}}
{{- end -}}
{{- join "," $queues -}}
{{- end }}

{{- /* Volumes and mounts of every Airflow container, as a YAML map with volumes and volumeMounts. */ -}}
{{- define "airdock.airflowVolumes" -}}
volumes:
  config: {configMap: {name: {{ include "airdock.fullname" . }}-config}}
  scripts: {configMap: {name: {{ include "airdock.fullname" . }}-scripts}}
  tmp: {emptyDir: {sizeLimit: 1Gi}}
volumeMounts:
  config: {mountPath: /opt/airflow/config, readOnly: true}
  scripts: {mountPath: /opt/airdock, readOnly: true}
  tmp: {mountPath: /tmp}
{{- end }}

{{- /* Where task logs go: a claim that all components share, or a directory of the pod's own. */ -}}
{{- define "airdock.logVolumes" -}}
volumes:
  {{- if or .Values.logs.claim.existingClaim .Values.logs.claim.size }}
  logs: {persistentVolumeClaim: {claimName: {{ .Values.logs.claim.existingClaim | default (printf "%s-logs" (include "airdock.fullname" .)) | quote }}}}
  {{- else }}
  logs: {emptyDir: {sizeLimit: {{ .Values.logs.sizeLimit }}}}
  {{- end }}
volumeMounts:
  logs: {mountPath: /opt/airflow/logs}
{{- end }}

{{- /* Where DAG files come from, for the components that parse or run them. */ -}}
{{- define "airdock.dagVolumes" -}}
{{- if .Values.dags.examples -}}
volumes:
  dags: {configMap: {name: {{ include "airdock.fullname" . }}-example-dags}}
volumeMounts:
  dags: {mountPath: {{ .Values.dags.path | quote }}, readOnly: true}
{{- else if .Values.dags.volume -}}
volumes:
  dags: {{ toJson .Values.dags.volume }}
volumeMounts:
  dags: {mountPath: {{ .Values.dags.path | quote }}, readOnly: true}
{{- else -}}
{}
{{- end -}}
{{- end }}
