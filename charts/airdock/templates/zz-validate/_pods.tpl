{{- /* Problems with blocks of pods, as a JSON list of messages. workload/_checks.tpl has those that only the built pod shows. */ -}}
{{- define "airdock.problems.pods" -}}
{{- $problems := list -}}
{{- $exempt := .Values.podSecurity.exemptions -}}
{{- $used := list -}}
{{- range $block, $values := include "airdock.podBlocks" . | fromJson -}}
{{- $scope := dict "root" $ "key" $block -}}
{{- range include "airdock.podSecurityFindings" (merge (dict "values" $values) $scope) | fromJsonArray -}}
{{- if has .key $exempt -}}
{{- $used = append $used .key -}}
{{- else -}}
{{- $problems = append $problems (printf "%s: %s, which violates Pod Security restricted. Remove it, or add %q to podSecurity.exemptions." .key .why .key) -}}
{{- end -}}
{{- end -}}
{{- range $kind := list "initContainers" "sidecars" -}}
{{- range $name, $container := get $values $kind | default dict -}}
{{- $at := include "airdock.valueKey" (merge (dict "path" (list $kind $name)) $scope) -}}
{{- if not $container.image -}}
{{- $problems = append $problems (printf "%s.image: is missing. Set the container's image." $at) -}}
{{- end -}}
{{- $limits := ($container.resources | default dict).limits | default dict -}}
{{- if and (eq $kind "sidecars") (not (and $limits.cpu $limits.memory)) -}}
{{- $problems = append $problems (printf "%s.resources.limits: cpu or memory is missing. Set both: without limits, the container can take them from the main container." $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq ($values.dnsPolicy | default "") "None") (not ($values.dnsConfig | default dict).nameservers) -}}
{{- $problems = append $problems (printf "%s: None needs at least one server. Set nameservers in dnsConfig, too." (include "airdock.valueKey" (merge (dict "path" (list "dnsPolicy")) $scope))) -}}
{{- end -}}
{{- end -}}
{{- range $exempt -}}
{{- if not (has . $used) -}}
{{- $problems = append $problems (printf "podSecurity.exemptions: %q is not a value that violates Pod Security restricted. Remove it." .) -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $problems) -}}
{{- end }}

{{- /* Service accounts of the user's that would give one component the rights of another. */ -}}
{{- define "airdock.problems.accounts" -}}
{{- $problems := list -}}
{{- $owners := dict -}}
{{- range $block, $values := include "airdock.podBlocks" . | fromJson -}}
{{- with ($values.serviceAccount | default dict).name -}}
{{- $id := printf "%s/%s" ($values.namespace | default $.Release.Namespace) . -}}
{{- $other := get $owners $id -}}
{{- if and $other (not (and (hasPrefix "workers." $other) (hasPrefix "workers." $block))) -}}
{{- $problems = append $problems (printf "%s.serviceAccount.name: %s uses %q, too, so each would have the permissions of the other. Use another service account." $block $other .) -}}
{{- end -}}
{{- $_ := set $owners $id $block -}}
{{- if $values.serviceAccount.annotations -}}
{{- $problems = append $problems (printf "%s.serviceAccount.annotations: has no effect, because %s.serviceAccount.name names an existing service account. Remove it, and annotate that one." $block $block) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
