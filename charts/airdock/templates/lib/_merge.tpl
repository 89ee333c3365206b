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

{{- /* Merges a list of maps, one level deep, into JSON: later values replace earlier ones, null removes a key, absent maps are skipped. */ -}}
{{- define "airdock.overlay" -}}
{{- $result := dict -}}
{{- range . -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $result $key }}{{ else }}{{ $_ := set $result $key $value }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}
