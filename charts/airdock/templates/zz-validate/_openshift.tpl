{{- /* Worker groups whose pods OpenShift would reject. */ -}}
{{- define "airdock.problems.openshift" -}}
{{- $problems := list -}}
{{- if include "airdock.openshift" . -}}
{{- range $name, $group := include "airdock.workers" . | fromJson -}}
{{- if and (ne $group.facts.podSecurity "restricted") (not $group.securityContextConstraints) -}}
{{- $problems = append $problems (printf "workers.%s.securityContextConstraints: is missing. On OpenShift pods may use restricted-v2 only, which does not admit those of this group (mode %s). Name an SCC that does, such as privileged, or set workers.%s.mode: kubernetes (docs/openshift.md)." $name $group.mode $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
