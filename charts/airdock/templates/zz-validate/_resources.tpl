{{- /*
Requests that are higher than their limits: the API server would reject every pod, long after the install. A JSON list of messages about all
blocks named `resources` in a map of values. Call with (dict "key" "workers.default" "values" $group).
*/ -}}
{{- define "airdock.resourceProblems" -}}
{{- $problems := list -}}
{{- $key := .key -}}
{{- range $name, $value := .values -}}
{{- if kindIs "map" $value -}}
{{- $at := printf "%s.%s" $key $name -}}
{{- range include "airdock.resourceProblems" (dict "key" $at "values" $value) | fromJsonArray -}}
{{- $problems = append $problems . -}}
{{- end -}}
{{- if eq $name "resources" -}}
{{- $limits := $value.limits | default dict -}}
{{- range $resource, $request := $value.requests -}}
{{- $limit := get $limits $resource -}}
{{- if not (or (kindIs "invalid" $request) (kindIs "invalid" $limit) (eq (toString $limit) "")) -}}
{{- if gt (include "airdock.quantity" $request | float64) (include "airdock.quantity" $limit | float64) -}}
{{- $problems = append $problems (printf "%s.requests.%s: %s is higher than the limit, %s, so Kubernetes would reject every pod. Lower it, or raise %s.limits.%s." $at $resource (toJson $request | trimAll "\"") (toJson $limit | trimAll "\"") $at $resource) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* In all blocks of values that may contain `resources`. */ -}}
{{- define "airdock.problems.resources" -}}
{{- $problems := list -}}
{{- $blocks := merge (pick .Values "podDefaults" "controlPlane" "database" "broker") (include "airdock.taskSettings" . | fromJson) -}}
{{- range $name, $group := include "airdock.workers" . | fromJson }}{{ $_ := set $blocks (printf "workers.%s" $name) (omit $group "tasks") }}{{ end -}}
{{- range $key, $values := $blocks -}}
{{- $problems = concat $problems (include "airdock.resourceProblems" (dict "key" $key "values" $values) | fromJsonArray) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
