{{- /* The dashboard for Grafana, as JSON. */ -}}
{{- define "airdock.dashboard" -}}
{{- $source := dict "type" "prometheus" "uid" "${datasource}" -}}
{{- $panels := list -}}
{{- $y := 0 -}}
{{- range $row := include "airdock.metricsFile" (dict "root" . "file" "files/dashboard.yaml") | fromYamlArray -}}
{{- $panels = append $panels (dict "type" "row" "id" (len $panels | add1) "title" $row.title "collapsed" false "panels" list "gridPos" (dict "h" 1 "w" 24 "x" 0 "y" $y)) -}}
{{- $y = add1 $y -}}
{{- range $number, $panel := $row.panels -}}
{{- $targets := list -}}
{{- range $legend, $query := $panel.queries -}}
{{- $targets = append $targets (dict "refId" (len $targets | add 65 | printf "%c") "datasource" $source "expr" $query "legendFormat" $legend) -}}
{{- end -}}
{{- $position := dict "h" 8 "w" 8 "x" (mod $number 3 | mul 8) "y" (div $number 3 | mul 8 | add $y) -}}
{{- $fields := dict "defaults" (dict "unit" ($panel.unit | default "short") "min" 0) "overrides" list -}}
{{- $panels = append $panels (dict "type" "timeseries" "id" (len $panels | add1) "title" $panel.title "datasource" $source "targets" $targets "gridPos" $position "fieldConfig" $fields) -}}
{{- end -}}
{{- $y = add $y (mul 8 (div (add 2 (len $row.panels)) 3)) -}}
{{- end -}}
{{- $title := printf "Airdock: %s/%s" .Release.Namespace .Release.Name -}}
{{- $variable := dict "name" "datasource" "type" "datasource" "query" "prometheus" "label" "Data source" -}}
{{- dict "uid" (sha256sum $title | trunc 20) "title" $title "tags" (list "airdock") "schemaVersion" 39 "editable" true "refresh" "30s" "time" (dict "from" "now-6h" "to" "now") "templating" (dict "list" (list $variable)) "panels" $panels | toJson -}}
{{- end }}
