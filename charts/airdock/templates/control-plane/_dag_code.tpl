{{- /*
How a component starts whose child processes run the code of DAG authors: its arguments, and an environment with the names of the variables that
these processes do not get. Call with (dict "root" $ "name" $component "secrets" $purposes).
*/ -}}
{{- define "airdock.dagCodeStart" -}}
{{- if ne false .root.Values.controlPlane.separateDagCode -}}
args: [python, /opt/airdock/separate_dag_code.py, {{ .name }}]
env:
  AIRDOCK_WITHHELD: {{ keys (include "airdock.secretEnv" (dict "root" .root "purposes" .secrets) | fromYaml) | sortAlpha | join "," | quote }}
{{- else -}}
args: [{{ .name }}]
env: {}
{{- end -}}
{{- end }}

{{- /*
The directory of DAG bundles, as a YAML map with env, volumes and volumeMounts: empty without bundles, or if the values set it. It is not below
/tmp, where DAG code may write.
*/ -}}
{{- define "airdock.bundleDirectory" -}}
{{- $path := "dag_bundle_storage_path" -}}
{{- if and (or .Values.dags.bundles .Values.dags.git) (not (hasKey (.Values.airflow.config.dag_processor | default dict) $path)) -}}
{{- $git := include "airdock.gitParts" . | fromYaml -}}
{{- $storage := .Values.dags.storage | default (dict "emptyDir" (dict "sizeLimit" (empty .Values.dags.git | ternary "1Gi" "10Gi"))) -}}
env: {{ merge (dict "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH" "/opt/airflow/bundles") $git.env | toJson }}
volumes: {{ merge (dict "bundles" $storage) $git.volumes | toJson }}
volumeMounts: {{ merge (dict "bundles" (dict "mountPath" "/opt/airflow/bundles")) $git.volumeMounts | toJson }}
{{- else -}}
{env: {}, volumes: {}, volumeMounts: {}}
{{- end -}}
{{- end }}

{{- /* The same for a worker, which otherwise clones below its temporary directory. */ -}}
{{- define "airdock.workerBundles" -}}
{{- if or .Values.dags.git .Values.dags.storage -}}
{{- include "airdock.bundleDirectory" . -}}
{{- else -}}
{env: {}, volumes: {}, volumeMounts: {}}
{{- end -}}
{{- end }}
