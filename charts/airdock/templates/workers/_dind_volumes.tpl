{{- /* dind.volumes: what the daemon mounts of the worker's volumes. Each define is called with (dict "root" $ "name" $name "group" $group). */ -}}

{{- /* The volumes and mounts of the worker among which dind.volumes chooses, as JSON: those of the group, and the DAG folder. */ -}}
{{- define "airdock.dindShareable" -}}
{{- $dags := include "airdock.dagVolumes" .root | fromYaml -}}
{{- $volumes := include "airdock.overlay" (list $dags.volumes .group.volumes) | fromJson -}}
{{- $mounts := include "airdock.overlay" (list $dags.volumeMounts .group.volumeMounts) | fromJson -}}
{{- dict "volumes" $volumes "mounts" $mounts | toJson -}}
{{- end }}

{{- /* The daemon's mounts, as JSON: the worker's, at the same paths. */ -}}
{{- define "airdock.dindSharedMounts" -}}
{{- $mounts := (include "airdock.dindShareable" . | fromJson).mounts -}}
{{- $shared := dict -}}
{{- range $name := .group.dind.volumes }}{{ $_ := set $shared (printf "shared-%s" $name) (merge dict (get $mounts $name) (dict "name" $name)) }}{{ end -}}
{{- toJson $shared -}}
{{- end }}

{{- /* A JSON list of messages. */ -}}
{{- define "airdock.dindVolumeProblems" -}}
{{- $problems := list -}}
{{- $group := .name -}}
{{- $shareable := include "airdock.dindShareable" . | fromJson -}}
{{- range $name := .group.dind.volumes -}}
{{- $key := printf "workers.%s.dind.volumes: %s" $group $name -}}
{{- $mount := get $shareable.mounts $name | default dict -}}
{{- $volume := get $shareable.volumes ($mount.name | default $name) -}}
{{- if not $mount -}}
{{- $problems = append $problems (printf "%s is no mount of the worker. Add it to workers.%s.volumeMounts, or use one of: %s." $key $group (keys $shareable.mounts | sortAlpha | join ", " | default "(none)")) -}}
{{- else if not $volume -}}
{{- $problems = append $problems (printf "%s mounts a volume of the chart. The daemon gets only volumes in workers.%s.volumes, and dags." $key $group) -}}
{{- else -}}
{{- with include "airdock.dindVolumeFault" $volume -}}
{{- $problems = append $problems (printf "%s is a volume of type %s, which the daemon does not get: every task could mount it, also with root's rights. Use persistentVolumeClaim, ephemeral, emptyDir, configMap, nfs or image, or remove it." $key .) -}}
{{- end -}}
{{- with include "airdock.dindPathFault" ($mount.mountPath | default "") -}}
{{- $problems = append $problems (printf "%s is mounted at %s, but the daemon's container needs %s. Use another path in the worker." $key $mount.mountPath .) -}}
{{- end -}}
{{- if $mount.subPathExpr -}}
{{- $problems = append $problems (printf "%s uses subPathExpr, but the daemon does not have the worker's variables. Use subPath." $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* The type of a volume that the daemon does not get, or nothing. A list of what it gets: a type can give Secrets, such as csi. Call with the volume. */ -}}
{{- define "airdock.dindVolumeFault" -}}
{{- range $type, $source := . -}}
{{- if eq $type "projected" -}}
{{- range $projection := $source.sources }}{{ range $inner, $value := $projection }}{{ if not (or (kindIs "invalid" $value) (has $inner (list "configMap" "downwardAPI"))) }}{{ $inner }}{{ end }}{{ end }}{{ end -}}
{{- else if not (or (kindIs "invalid" $source) (has $type (list "persistentVolumeClaim" "ephemeral" "emptyDir" "configMap" "downwardAPI" "nfs" "image"))) -}}
{{- $type -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The directory of the daemon's container that a mount at a path would hide or change, or nothing. Call with the path. */ -}}
{{- define "airdock.dindPathFault" -}}
{{- $path := printf "%s/" (clean (printf "/%s" .) | trimSuffix "/") -}}
{{- $needed := list -}}
{{- range list "/bin" "/boot" "/certs" "/dev" "/etc" "/home/rootless" "/lib" "/lib64" "/opt/airdock" "/opt/containerd" "/proc" "/root" "/run" "/sbin" "/sys" "/tmp" "/usr/bin" "/usr/lib" "/usr/libexec" "/usr/local/bin" "/usr/local/lib" "/usr/local/libexec" "/usr/local/sbin" "/usr/sbin" "/usr/share" "/var/lib/containerd" "/var/lib/docker" "/var/log" "/var/run" -}}
{{- $directory := printf "%s/" . -}}
{{- if or (hasPrefix $directory $path) (hasPrefix $path $directory) }}{{ $needed = append $needed . }}{{ end -}}
{{- end -}}
{{- join ", " $needed -}}
{{- end }}
