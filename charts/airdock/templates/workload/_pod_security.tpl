{{- /*
What of a pod's values violates Pod Security restricted, as a JSON list of {key, level, why}: the key from the root of the values, and the
strictest level that admits it. https://kubernetes.io/docs/concepts/security/pod-security-standards/ in the version of tasks.podSecurity.version.
Call with (dict "root" $ "key" "workers.default" "values" $block).
*/ -}}
{{- define "airdock.podSecurityFindings" -}}
{{- $scope := pick . "root" "key" -}}
{{- $found := list -}}
{{- range $name, $volume := .values.volumes -}}
{{- range $kind, $source := $volume -}}
{{- if not (or (kindIs "invalid" $source) (has $kind (list "configMap" "csi" "downwardAPI" "emptyDir" "ephemeral" "image" "persistentVolumeClaim" "projected" "secret"))) -}}
{{- $found = append $found (dict "path" (list "volumes" $name $kind) "level" (eq $kind "hostPath" | ternary "privileged" "baseline") "why" (eq $kind "hostPath" | ternary "mounts a directory of the node" "is a type of volume that is not allowed")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $annotation, $profile := .values.podAnnotations -}}
{{- if and (hasPrefix "container.apparmor.security.beta.kubernetes.io/" $annotation) (not (or (has $profile (list "" "runtime/default")) (hasPrefix "localhost/" $profile))) -}}
{{- $found = append $found (dict "path" (list "podAnnotations" $annotation) "level" "privileged" "why" "turns off AppArmor") -}}
{{- end -}}
{{- end -}}
{{- range $kind := list "initContainers" "sidecars" -}}
{{- range $name, $container := get $.values $kind | default dict -}}
{{- range include "airdock.containerFindings" $container | fromJsonArray -}}
{{- $found = append $found (set . "path" (concat (list $kind $name) .path)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $result := list -}}
{{- range $found -}}
{{- $result = append $result (dict "key" (include "airdock.valueKey" (merge (pick . "path") $scope)) "level" .level "why" .why) -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}

{{- /* The same of one container, with `path` below it in place of `key`. Call with the container. */ -}}
{{- define "airdock.containerFindings" -}}
{{- $found := list -}}
{{- $context := .securityContext | default dict -}}
{{- range $field, $why := dict "privileged" "gives the container all rights of the node" "windowsOptions.hostProcess" "runs the container as a process of the node" -}}
{{- $path := splitList "." $field -}}
{{- if (eq (len $path) 1 | ternary (get $context $field) (get ($context.windowsOptions | default dict) (last $path))) -}}
{{- $found = append $found (dict "path" (prepend $path "securityContext") "level" "privileged" "why" $why) -}}
{{- end -}}
{{- end -}}
{{- if $context.allowPrivilegeEscalation -}}
{{- $found = append $found (dict "path" (list "securityContext" "allowPrivilegeEscalation") "level" "baseline" "why" "lets processes gain rights") -}}
{{- end -}}
{{- $capabilities := $context.capabilities | default dict -}}
{{- $baseline := list "AUDIT_WRITE" "CHOWN" "DAC_OVERRIDE" "FOWNER" "FSETID" "KILL" "MKNOD" "NET_BIND_SERVICE" "SETFCAP" "SETGID" "SETPCAP" "SETUID" "SYS_CHROOT" -}}
{{- $added := without ($capabilities.add | default list) "NET_BIND_SERVICE" -}}
{{- if $added -}}
{{- $level := "baseline" -}}
{{- range $added }}{{ if not (has . $baseline) }}{{ $level = "privileged" }}{{ end }}{{ end -}}
{{- $found = append $found (dict "path" (list "securityContext" "capabilities" "add") "level" $level "why" (printf "adds %s" (join ", " $added))) -}}
{{- end -}}
{{- if and (not (kindIs "invalid" $capabilities.drop)) (not (has "ALL" $capabilities.drop)) -}}
{{- $found = append $found (dict "path" (list "securityContext" "capabilities" "drop") "level" "baseline" "why" "does not contain ALL") -}}
{{- end -}}
{{- if eq false $context.runAsNonRoot -}}
{{- $found = append $found (dict "path" (list "securityContext" "runAsNonRoot") "level" "baseline" "why" "allows root") -}}
{{- end -}}
{{- if and (hasKey $context "runAsUser") (not (kindIs "invalid" $context.runAsUser)) (eq 0 (int64 $context.runAsUser)) -}}
{{- $found = append $found (dict "path" (list "securityContext" "runAsUser") "level" "baseline" "why" "is root") -}}
{{- end -}}
{{- if not (has ($context.procMount | default "Default") (list "Default")) -}}
{{- $found = append $found (dict "path" (list "securityContext" "procMount") "level" "privileged" "why" "unmasks /proc") -}}
{{- end -}}
{{- range $field := list "seccompProfile" "appArmorProfile" -}}
{{- $profile := get $context $field -}}
{{- if and (kindIs "map" $profile) (not (has ($profile.type | default "") (list "RuntimeDefault" "Localhost"))) -}}
{{- $found = append $found (dict "path" (list "securityContext" $field) "level" "privileged" "why" "sets no profile") -}}
{{- end -}}
{{- end -}}
{{- $linux := $context.seLinuxOptions | default dict -}}
{{- if or $linux.user $linux.role (not (has ($linux.type | default "") (list "" "container_t" "container_init_t" "container_kvm_t" "container_engine_t"))) -}}
{{- $found = append $found (dict "path" (list "securityContext" "seLinuxOptions") "level" "privileged" "why" "sets a user, a role or a type of SELinux that is not allowed") -}}
{{- end -}}
{{- range .ports -}}
{{- if .hostPort }}{{ $found = append $found (dict "path" (list "ports") "level" "privileged" "why" (printf "opens port %d of the node" (int .hostPort))) }}{{ end -}}
{{- end -}}
{{- $handlers := pick . "startupProbe" "readinessProbe" "livenessProbe" -}}
{{- range $hook, $handler := .lifecycle }}{{ $_ := set $handlers (printf "lifecycle.%s" $hook) $handler }}{{ end -}}
{{- range $name, $handler := $handlers -}}
{{- range $action := list "httpGet" "tcpSocket" -}}
{{- if and (kindIs "map" $handler) (get ($handler | default dict) $action | default dict).host -}}
{{- $found = append $found (dict "path" (concat (splitList "." $name) (list $action "host")) "level" "privileged" "why" "makes the node connect to any address") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
