{{- /*
A workload that runs Airflow: takes a component of _workload.tpl and adds the image, environment, configuration and scripts to every container
without an image. Additional keys of the component:

  secrets   purposes of _secrets.tpl that the container reads (of an init container too)
  dags      true mounts the DAG files into the main container
  logs      true mounts the log directory into the main container
  grooms    true adds the sidecar that removes old log files
  ships     true adds the sidecar that uploads the logs of killed tasks
*/ -}}
{{- define "airdock.airflowWorkload" -}}
{{- include "airdock.addAirflow" . -}}
{{- include "airdock.workload" . -}}
{{- end }}

{{- /* Changes a component in place: adds Airflow's parts to its containers. Prints nothing. */ -}}
{{- define "airdock.addAirflow" -}}
{{- $root := .root -}}
{{- $c := .component -}}
{{- if hasKey $c "Error" }}{{ fail $c.Error }}{{ end -}}
{{- $common := include "airdock.airflowVolumes" $root | fromYaml -}}
{{- $trust := include "airdock.trustVolumes" $root | fromYaml -}}
{{- $_ := set $c "initContainers" (concat (include "airdock.trustContainers" $root | fromYamlArray) ($c.initContainers | default list)) -}}
{{- $logs := eq true $c.logs | ternary (include "airdock.logVolumes" $root | fromYaml) dict -}}
{{- $dags := eq true $c.dags | ternary (include "airdock.dagVolumes" $root | fromYaml) dict -}}
{{- $tests := and (eq true $c.dags) $root.Values.tests.enabled | ternary (include "airdock.testsVolume" $root | fromYaml) dict -}}
{{- $_ := set $c "volumes" (include "airdock.overlay" (list $common.volumes $trust.volumes $logs.volumes $dags.volumes $tests.volumes $c.volumes) | fromJson) -}}
{{- if and $c.grooms (include "airdock.groomsLogs" (dict "root" $root "name" $c.name)) -}}
{{- $_ := set $c "initContainers" (append ($c.initContainers | default list) (include "airdock.logGroomer" $root | fromYaml)) -}}
{{- end -}}
{{- if and $c.ships (include "airdock.shipsLogs" $root) -}}
{{- $_ := set $c "initContainers" (append ($c.initContainers | default list) (include "airdock.logShipper" . | fromYaml)) -}}
{{- end -}}
{{- range $container := prepend ($c.initContainers | default list) $c.container -}}
{{- if not $container.image -}}
{{- $secrets := include "airdock.secretEnv" (dict "root" $root "purposes" $container.secrets) | fromYaml -}}
{{- $env := include "airdock.airflowEnv" $root | fromYaml -}}
{{- $_ := set $container "image" "airflow" -}}
{{- $_ := set $container "airflow" true -}}
{{- $_ := set $container "envFrom" (list (dict "configMapRef" (dict "name" (printf "%s-env" (include "airdock.fullname" $root))))) -}}
{{- $_ := set $container "env" (include "airdock.overlay" (list $env $secrets $container.env (include "airdock.literalEnv" $root.Values.airflow.env | fromJson)) | fromJson) -}}
{{- $tls := include "airdock.tlsVolumes" (dict "root" $root "purposes" $container.secrets) | fromJson -}}
{{- $_ := set $c "volumes" (include "airdock.overlay" (list $tls.volumes $c.volumes) | fromJson) -}}
{{- $_ := set $container "volumeMounts" (include "airdock.overlay" (list $common.volumeMounts $trust.volumeMounts $tls.volumeMounts $container.volumeMounts) | fromJson) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $c.container "volumeMounts" (include "airdock.overlay" (list $c.container.volumeMounts $logs.volumeMounts $dags.volumeMounts $tests.volumeMounts) | fromJson) -}}
{{- $checksums := dict "checksum/config" (include "airdock.configData" $root | sha256sum) "checksum/env" (include "airdock.envData" (dict "root" $root "namespace" ($c.namespace | default $root.Release.Namespace)) | sha256sum) "checksum/scripts" (include "airdock.scriptsData" $root | sha256sum) -}}
{{- $_ := set $c "podAnnotations" (include "airdock.overlay" (list $checksums $c.podAnnotations) | fromJson) -}}
{{- end }}

{{- /* The init container of the components that read the database: waits until the api-server has migrated it. */ -}}
{{- define "airdock.waitForMigrations" -}}
name: wait-for-migrations
command: [python, /opt/airdock/database.py, wait]
secrets: [database]
{{- if include "airdock.pooled" . }}
# Without a transaction, which would keep a connection of the pooler until the migration has ended.
env: {AIRFLOW__DATABASE__SQL_ALCHEMY_ENGINE_ARGS: '{"isolation_level": "AUTOCOMMIT"}'}
{{- end }}
{{- end }}

{{- /* Probes that ask the database for a job's last heartbeat. Call with the job's class. */ -}}
{{- define "airdock.heartbeatProbes" -}}
{{- $check := dict "exec" (dict "command" (list "python" "/opt/airdock/probe_job.py" .)) "timeoutSeconds" 10 -}}
startupProbe: {{ toJson (mustMerge (dict "periodSeconds" 3 "failureThreshold" 60) $check) }}
livenessProbe: {{ toJson (mustMerge (dict "periodSeconds" 30 "failureThreshold" 5) $check) }}
{{- end }}
