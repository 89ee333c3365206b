{{- /*
The user's init containers, then the sidecars, as a JSON list of Kubernetes Containers. Unset fields of their securityContext are those of the
chart's containers. Fields that the API server would fill in are written: the admission policy of KubernetesExecutor compares them.
Call with the component's values.
*/ -}}
{{- define "airdock.extraContainers" -}}
{{- $values := . -}}
{{- $restricted := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- $result := list -}}
{{- range $kind := list "initContainers" "sidecars" -}}
{{- range $name, $given := get $values $kind | default dict -}}
{{- $container := deepCopy $given -}}
{{- $_ := set $container "name" $name -}}
{{- if not $container.imagePullPolicy -}}
{{- $_ := set $container "imagePullPolicy" (regexMatch "^(.*/)?[^:@/]+(:latest)?$" ($given.image | default "") | ternary "Always" "IfNotPresent") -}}
{{- end -}}
{{- $_ := set $container "securityContext" (include "airdock.merge" (dict "base" $restricted "over" ($given.securityContext | default dict)) | fromJson) -}}
{{- if eq $kind "sidecars" -}}
{{- $_ := set $container "restartPolicy" "Always" -}}
{{- else if not $given.resources -}}
{{- $_ := set $container "resources" (include "airdock.merge" (dict "base" dict "over" $values.resources) | fromJson) -}}
{{- end -}}
{{- range list "postStart" "preStop" -}}
{{- with dig "lifecycle" . "httpGet" dict $container }}{{ $_ := set . "scheme" (.scheme | default "HTTP") }}{{ end -}}
{{- end -}}
{{- $result = append $result $container -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}
