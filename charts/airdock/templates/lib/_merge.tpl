{{- /*
Lays one map over another and returns JSON: maps deep, lists replaced, null removes the key, and a user's false, 0 and "" win.
(Sprig's merge functions treat those as absent.) Call with (dict "base" $a "over" $b).
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

{{- /* One map of a list of maps, as JSON: a later map's keys replace an earlier one's whole, null removes; absent maps are skipped. */ -}}
{{- define "airdock.overlay" -}}
{{- $result := dict -}}
{{- range . -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $result $key }}{{ else }}{{ $_ := set $result $key $value }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}
