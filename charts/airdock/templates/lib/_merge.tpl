{{- /*
Merges one map over another and returns JSON: maps are merged deeply, lists are replaced, null removes a key, and false, 0 and "" override.
(Sprig's merge functions treat these as absent.) Call with (dict "base" $a "over" $b).
*/ -}}
{{- define "airdock.merge" -}}
{{- $result := deepCopy .base -}}
{{- range $key, $value := .over -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $result $key -}}
{{- else if kindIs "map" $value -}}
{{- $base := kindIs "map" (get $result $key) | ternary (get $result $key) dict -}}
{{- $_ := set $result $key (include "airdock.merge" (dict "base" $base "over" $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $result $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}

{{- /*
The same for blocks of pods: a variable, a volume and a strategy have one kind, so the later one replaces all of it. Call with a list of blocks.
*/ -}}
{{- define "airdock.mergePods" -}}
{{- $result := dict -}}
{{- range $over := . -}}
{{- $before := $result -}}
{{- $result = include "airdock.merge" (dict "base" $before "over" $over) | fromJson -}}
{{- range $key := list "env" "volumes" -}}
{{- if kindIs "map" (get $over $key) }}{{ $_ := set $result $key (include "airdock.overlay" (list (get $before $key) (get $over $key)) | fromJson) }}{{ end -}}
{{- end -}}
{{- if kindIs "map" (get $over "strategy") }}{{ $_ := set $result "strategy" $over.strategy }}{{ end -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}

{{- /* Merges a list of maps, one level deep, into JSON: later values replace earlier ones, null removes a key, absent maps are skipped. */ -}}
{{- define "airdock.overlay" -}}
{{- $result := dict -}}
{{- range . -}}
{{- range $key, $value := . | default dict -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $result $key }}{{ else }}{{ $_ := set $result $key $value }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}
