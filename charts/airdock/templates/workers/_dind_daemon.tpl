{{- /* dind.daemon: options of daemon.json. files/dind/daemon-options.yaml lists them. */ -}}

{{- /* The daemon's options without those that are flags, as JSON; {} if there are none. Call with (dict "group" $group). */ -}}
{{- define "airdock.dindDaemonConfig" -}}
{{- include "airdock.overlay" (list (omit .group.dind.daemon "log-opts" "init")) -}}
{{- end }}

{{- /* The options of the log driver, over the chart's own. dockerd takes them as flags or from the file, not from both. */ -}}
{{- define "airdock.dindLogOptions" -}}
{{- include "airdock.overlay" (list (dict "max-size" "50m" "max-file" "2") (dig "log-opts" dict .group.dind.daemon)) -}}
{{- end }}

{{- /* A JSON list of messages. Call with (dict "root" $ "name" $name "group" $group). */ -}}
{{- define "airdock.dindDaemonProblems" -}}
{{- $options := .root.Files.Get "files/dind/daemon-options.yaml" | fromYaml -}}
{{- $problems := list -}}
{{- $group := .name -}}
{{- range $option, $value := include "airdock.overlay" (list .group.dind.daemon) | fromJson -}}
{{- $key := printf "workers.%s.dind.daemon.%s" $group $option -}}
{{- if hasKey $options.values $option -}}
{{- $problems = append $problems (printf "%s: another value sets this option. Remove it, and set workers.%s.%s." $key $group (get $options.values $option)) -}}
{{- else if hasKey $options.rejected $option -}}
{{- $problems = append $problems (printf "%s: %s. Remove it." $key (get $options.rejected $option)) -}}
{{- else if not (hasKey $options.allowed $option) -}}
{{- $problems = append $problems (printf "%s: dockerd has no such option. Check the spelling, or remove it." $key) -}}
{{- else -}}
{{- with include "airdock.dindOptionFault" (dict "kind" (get $options.allowed $option) "value" $value) -}}
{{- $problems = append $problems (printf "%s: %s." $key .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* What is wrong with an option's value, or nothing. Call with (dict "kind" $kind "value" $value); the file explains the kinds. */ -}}
{{- define "airdock.dindOptionFault" -}}
{{- $value := .value -}}
{{- if kindIs "slice" .kind -}}
{{- if not (has $value .kind) }}use one of: {{ join ", " .kind }}{{ end -}}
{{- else if eq .kind "list" -}}
{{- $wrong := not (kindIs "slice" $value) -}}
{{- if not $wrong }}{{ range $value }}{{ $wrong = or $wrong (not (kindIs "string" .)) }}{{ end }}{{ end -}}
{{- if $wrong }}use a list of strings{{ end -}}
{{- else if eq .kind "number" -}}
{{- if not (has (kindOf $value) (list "int" "int64" "float64")) }}use a number{{ end -}}
{{- else if not (kindIs .kind $value) -}}
{{- get (dict "bool" "use true or false" "map" "use a map" "string" "use a string") .kind -}}
{{- end -}}
{{- end }}
