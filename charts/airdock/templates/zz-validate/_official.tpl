{{- /*
Keys of the official chart: values.schema.json lets them through, so that this message can name ours. The table is files/official-chart.yaml.
*/ -}}
{{- define "airdock.problems.official" -}}
{{- $problems := list -}}
{{- $components := dict "webserver" "controlPlane.apiServer" "workers" "workers.<name>" "workerDefaults" "workerDefaults" -}}
{{- range $component := include "airdock.airflowComponents" . | fromJsonArray -}}
{{- $name := camelcase $component | untitle -}}
{{- $ours := printf "controlPlane.%s" $name -}}
{{- $components = mustMergeOverwrite $components (dict $name $ours $ours $ours) -}}
{{- end -}}
{{- range $name, $group := .Values.workers -}}
{{- $_ := set $components (printf "workers.%s" $name) (printf "workers.%s" $name) -}}
{{- end -}}
{{- range $section, $keys := $.Files.Get "files/official-chart.yaml" | fromYaml -}}
{{- range $key, $entry := $keys -}}
{{- range $place, $ours := hasPrefix "*." $key | ternary $components (dict "" "") -}}
{{- $path := hasPrefix "*." $key | ternary (trimPrefix "*" $key | print $place) $key -}}
{{- if and (not (has $path $entry.here)) (include "airdock.given" (dict "values" $.Values "path" (splitList "." $path))) -}}
{{- $said := $entry.note | default "" -}}
{{- if $entry.here -}}
{{- $said = printf "Here it is %s%s." (join ", " $entry.here) (ne $said "" | ternary (printf ": %s" $said) "") -}}
{{- else -}}
{{- $said = printf "There is none here. %s" $said -}}
{{- end -}}
{{- $problems = append $problems (printf "%s: is a key of the official Airflow chart. %s" $path (replace "*." (printf "%s." $ours) $said | replace "`" "")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (sortAlpha $problems) -}}
{{- end }}

{{- /* "yes" if the values have a key, also if it is null. Call with (dict "values" .Values "path" $steps). */ -}}
{{- define "airdock.given" -}}
{{- if and (kindIs "map" .values) (hasKey .values (first .path)) -}}
{{- if rest .path -}}
{{- include "airdock.given" (dict "values" (get .values (first .path)) "path" (rest .path)) -}}
{{- else -}}
yes
{{- end -}}
{{- end -}}
{{- end }}
