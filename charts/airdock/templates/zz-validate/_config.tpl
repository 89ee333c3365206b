{{- /* Settings of Airflow that contradict values of the chart, and images that cannot be pulled. Each define returns a JSON list of messages. */ -}}

{{- define "airdock.problems.config" -}}
{{- $problems := list -}}
{{- range $path, $key := dict
      "core.executor" "executor"
      "core.dags_folder" "dags.path"
      "celery.worker_concurrency" "workers.<name>.concurrency"
      "kubernetes_executor.namespace" "kubernetesExecutor.namespace"
      "dag_processor.dag_bundle_config_list" "dags.bundles" -}}
{{- $section := splitList "." $path | first -}}
{{- $option := splitList "." $path | last -}}
{{- if hasKey (get $.Values.airflow.config $section | default dict) $option -}}
{{- $problems = append $problems (printf "airflow.config.%s: contradicts %s, which decides what the chart deploys. Remove it, and set %s instead." $path $key $key) -}}
{{- end -}}
{{- $variable := printf "AIRFLOW__%s__%s" $section $option | upper -}}
{{- if hasKey $.Values.airflow.env $variable -}}
{{- $problems = append $problems (printf "airflow.env.%s: contradicts %s, which decides what the chart deploys. Remove it, and set %s instead." $variable $key $key) -}}
{{- end -}}
{{- end -}}
{{- $served := false -}}
{{- range include "airdock.workers" . | fromJson }}{{ if include "airdock.serves" (dict "group" . "what" "kubernetes") }}{{ $served = true }}{{ end }}{{ end -}}
{{- if $served -}}
{{- range $id, $_ := .Values.airflow.connections -}}
{{- if eq (lower $id) "kubernetes_default" -}}
{{- $problems = append $problems (printf "airflow.connections.%s: the chart defines this connection, with the task namespace in tasks.namespace. Use another connection id, and name it in kubernetes_conn_id of the DAG's tasks." $id) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $bundled := include "airdock.bundles" . | fromJsonArray -}}
{{- if and .Values.dags.examples $bundled (not (regexMatch "LocalDagBundle" (toJson .Values.dags.bundles))) -}}
{{- $problems = append $problems "dags.examples: with dags.bundles or dags.git, Airflow reads the bundles only, so the examples would not appear. Set dags.examples: false, or add a LocalDagBundle to dags.bundles." -}}
{{- end -}}
{{- /* A bundle of another class than the providers' may read the volume. */ -}}
{{- $remote := not (empty $bundled) -}}
{{- range .Values.dags.bundles }}{{ if not (hasPrefix "airflow.providers." (.classpath | default "")) }}{{ $remote = false }}{{ end }}{{ end -}}
{{- if and .Values.dags.volume $remote -}}
{{- $problems = append $problems "dags.volume: with dags.bundles or dags.git, Airflow reads the bundles only, so the DAG files of the volume would not appear. Remove dags.volume, or add a LocalDagBundle to dags.bundles." -}}
{{- end -}}
{{- $bundles := list -}}
{{- range .Values.dags.bundles -}}
{{- if has .name $bundles -}}
{{- $problems = append $problems (printf "dags.bundles: two entries have the name %q, and Airflow would not start. Rename one of them." .name) -}}
{{- end -}}
{{- $bundles = append $bundles .name -}}
{{- end -}}
{{- range include "airdock.nulCharacters" (dict "value" .Values "path" "") | fromJsonArray -}}
{{- $problems = append $problems (printf "%s: contains a NUL character, which no file and no variable of a container can have. Remove it." .) -}}
{{- end -}}
{{- range $kind, $entries := pick .Values.airflow "connections" "variables" -}}
{{- $seen := dict -}}
{{- range $id, $_ := $entries -}}
{{- if hasKey $seen (upper $id) -}}
{{- $problems = append $problems (printf "airflow.%s.%s: differs from %s in capitals only, so Airflow cannot tell them apart. Rename one of them." $kind $id (get $seen (upper $id))) -}}
{{- end -}}
{{- $_ := set $seen (upper $id) $id -}}
{{- end -}}
{{- end -}}
{{- $known := list "conn_type" "description" "host" "login" "password" "schema" "port" "extra" -}}
{{- range $id, $connection := .Values.airflow.connections -}}
{{- if and (kindIs "map" $connection) (not (hasKey $connection "valueFrom")) -}}
{{- range $key, $_ := $connection -}}
{{- if not (has $key $known) -}}
{{- $problems = append $problems (printf "airflow.connections.%s: %q is not a key of a connection. The keys are %s, or valueFrom alone." $id $key (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $number, $object := .Values.extraObjects -}}
{{- $text := toJson $object -}}
{{- if and (regexMatch "\\{\\{[^}]*\\$[A-Za-z_]" $text) (not (contains ":=" $text)) -}}
{{- $problems = append $problems (printf "extraObjects[%d]: Helm evaluates the template expressions of %s %s, and it does not know the variable in %q. If the expression is for another program, such as Prometheus, write {{`{{ ... }}`}}." $number ($object.kind | default "the object") (dig "metadata" "name" "" $object) (regexFind "\\{\\{[^}]*\\}\\}" $text)) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* The paths of texts with a NUL character, as a JSON list. Call with (dict "value" VALUE "path" PATH). */ -}}
{{- define "airdock.nulCharacters" -}}
{{- $found := list -}}
{{- if contains "\\u0000" (toJson .value) -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value }}{{ $found = concat $found (include "airdock.nulCharacters" (dict "value" $value "path" (printf "%s.%s" $.path $key | trimPrefix ".")) | fromJsonArray) }}{{ end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value }}{{ $found = concat $found (include "airdock.nulCharacters" (dict "value" $value "path" (printf "%s[%d]" $.path $index)) | fromJsonArray) }}{{ end -}}
{{- else if regexMatch "\\x00" .value -}}
{{- $found = list .path -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- define "airdock.problems.images" -}}
{{- $problems := list -}}
{{- range $name, $image := omit .Values.images "registry" -}}
{{- if or (contains "@" $image.repository) (splitList "/" $image.repository | last | contains ":") -}}
{{- $problems = append $problems (printf "images.%s.repository: %q contains a tag or a digest. Set images.%s.tag or images.%s.digest instead." $name $image.repository $name $name) -}}
{{- end -}}
{{- if not (regexMatch "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$" $image.tag) -}}
{{- $problems = append $problems (printf "images.%s.tag: %q is not an image tag (at most 128 letters, digits and ._-). Set a digest in images.%s.digest." $name $image.tag $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
