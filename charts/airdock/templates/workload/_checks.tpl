{{- /*
Fails if the API server would reject a pod because of the user's values for it: what only the built pod shows. zz-validate/_pods.tpl has the
other checks. Call with (dict "root" $ "component" $c "volumes" $volumes).
*/ -}}
{{- define "airdock.checkPod" -}}
{{- $c := .component -}}
{{- $scope := dict "root" .root "key" $c.key -}}
{{- $there := concat (keys .volumes) (keys ($c.claims | default dict)) (ternary (list "token") list (eq true $c.token)) -}}
{{- $choice := sortAlpha $there | join ", " -}}
{{- $problems := list -}}
{{- $taken := dict -}}
{{- range $key, $mount := include "airdock.overlay" (list $c.container.volumeMounts $c.values.volumeMounts) | fromJson -}}
{{- $at := include "airdock.valueKey" (merge (dict "path" (list "volumeMounts" $key)) $scope) -}}
{{- $path := trimSuffix "/" ($mount.mountPath | default "") -}}
{{- if not (has ($mount.name | default $key) $there) -}}
{{- $problems = append $problems (printf "%s: the volume %q does not exist. Add it under %s.volumes, or use one of: %s." $at ($mount.name | default $key) $c.key $choice) -}}
{{- end -}}
{{- if not $mount.mountPath -}}
{{- $problems = append $problems (printf "%s.mountPath: is missing. Set the path in the container." $at) -}}
{{- else if hasKey $taken $path -}}
{{- $problems = append $problems (printf "%s.mountPath: %s is also the mount path of %s. Use another one." $at $path (get $taken $path)) -}}
{{- end -}}
{{- $_ := set $taken $path $key -}}
{{- end -}}
{{- $names := list $c.container.name -}}
{{- range $c.initContainers }}{{ $names = append $names .name }}{{ end -}}
{{- range $kind := list "initContainers" "sidecars" -}}
{{- range $name, $container := get $c.values $kind | default dict -}}
{{- $at := include "airdock.valueKey" (merge (dict "path" (list $kind $name)) $scope) -}}
{{- if has $name $names -}}
{{- $problems = append $problems (printf "%s: the pod of %s has another container of this name. Use another one." $at $c.key) -}}
{{- end -}}
{{- $names = append $names $name -}}
{{- range $container.volumeMounts -}}
{{- if not (has .name $there) -}}
{{- $problems = append $problems (printf "%s.volumeMounts: the volume %q does not exist. Add it under %s.volumes, or use one of: %s." $at .name $c.key $choice) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $probe := list "startupProbe" "readinessProbe" "livenessProbe" -}}
{{- if not (get $c.container $probe) -}}
{{- range $number, $_ := get $c.values $probe | default dict -}}
{{- $problems = append $problems (printf "%s: has no effect, because the main container has no such probe. Remove it." (include "airdock.valueKey" (merge (dict "path" (list $probe $number)) $scope))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $c.values.strategy (eq ($c.kind | default "") "StatefulSet") -}}
{{- $problems = append $problems (printf "%s: has no effect, because workers.<name>.dind.claim.size makes the group a StatefulSet. Remove it." (include "airdock.valueKey" (merge (dict "path" (list "strategy")) $scope))) -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nairdock: %d problem(s) in the values:\n  - %s\n" (len $problems) (join "\n  - " $problems)) -}}
{{- end -}}
{{- end }}
