{{- /* `helm test`: a DAG for each worker group in a bundle of its own, and the program that starts them. */ -}}

{{- define "airdock.testsPath" -}}/opt/airdock-tests{{- end }}

{{- /* All DAG bundles, as a JSON list: empty if Airflow's default, the folder at dags.path, is the only one. */ -}}
{{- define "airdock.allBundles" -}}
{{- $class := "airflow.dag_processing.bundles.local.LocalDagBundle" -}}
{{- $bundles := include "airdock.bundles" . | fromJsonArray -}}
{{- if .Values.tests.enabled -}}
{{- $others := $bundles | default (list (dict "name" "dags-folder" "classpath" $class "kwargs" dict)) -}}
{{- $bundles = append $others (dict "name" "airdock-tests" "classpath" $class "kwargs" (dict "path" (include "airdock.testsPath" .))) -}}
{{- end -}}
{{- toJson $bundles -}}
{{- end }}

{{- /* Volume and mount of the DAGs and the program, as a YAML map. */ -}}
{{- define "airdock.testsVolume" -}}
volumes:
  tests: {configMap: {name: {{ include "airdock.fullname" . }}-tests}}
volumeMounts:
  tests: {mountPath: {{ include "airdock.testsPath" . }}, readOnly: true}
{{- end }}

{{- define "airdock.testsData" -}}
{{- $all := list -}}
{{- $tests := list -}}
{{- range $name, $group := include "airdock.workers" . | fromJson -}}
{{- $serves := list -}}
{{- range list "docker" "kubernetes" }}{{ if include "airdock.serves" (dict "group" $group "what" .) }}{{ $serves = append $serves . }}{{ end }}{{ end -}}
{{- $tests = append $tests (dict "dag" (printf "airdock_test_%s" $name) "who" (printf "workers.%s" $name) "queue" (first $group.queues) "serves" $serves) -}}
{{- $all = concat $all $serves | uniq -}}
{{- end -}}
{{- $tests = append $tests (dict "dag" "airdock_test" "who" "tasks that set no queue" "queue" "" "serves" $all) -}}
{{ include "airdock.filesData" (list . "files/tests/*") }}
tests.json: {{ dict "image" (include "airdock.image" (dict "root" . "image" .Values.images.xcomSidecar)) "tests" $tests | toJson | quote }}
{{- end }}
