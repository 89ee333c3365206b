{{- /* The settings of a variant, as a YAML map. docs/dind.md lists the requirements for the node. Call with (dict "group" $group). */ -}}
{{- define "airdock.dindVariant" -}}
{{- $root := dict "runAsUser" 0 "runAsGroup" 0 "runAsNonRoot" false -}}
image: {{ eq .group.dind.variant "rootless" | ternary "dockerRootless" "docker" }}
certificates: {{ eq .group.dind.variant "rootless" | ternary "/home/rootless/.config/docker/certs.d" "/etc/docker/certs.d" }}
# The group that can use the socket. The user namespace of `rootless` has no other group.
socketGroup: {{ eq .group.dind.variant "rootless" | ternary 1000 2375 }}
{{- if eq .group.dind.variant "privileged" }}
securityContext: {{ merge (dict "privileged" true) $root | toJson }}
podSecurity: privileged
note: "runs a privileged Docker daemon: every DAG author can become root on its nodes."
{{- else if eq .group.dind.variant "userNamespace" }}
hostUsers: false
podSecurity: privileged
note: "runs a Docker daemon as root in a user namespace: on the node it is an unprivileged user. It has additional capabilities in this
  namespace, an unmasked /proc, and no seccomp or AppArmor profile."
# These capabilities apply only inside the pod's user namespace.
securityContext:
  {{- toYaml $root | nindent 2 }}
  allowPrivilegeEscalation: true
  capabilities: {add: [NET_ADMIN, SYS_ADMIN, SYS_PTRACE, SYS_RESOURCE]}
  # Nested containers mount /proc, which the kernel allows only if no part of /proc is masked.
  procMount: Unmasked
  seccompProfile: {type: Unconfined}
  appArmorProfile: {type: Unconfined}
{{- else if eq .group.dind.variant "rootless" }}
# privileged unmasks /proc and disables seccomp and AppArmor. The process itself, uid 1000, has no capabilities.
securityContext: {privileged: true, runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true}
podSecurity: privileged
note: "runs a rootless Docker daemon: an unprivileged user (uid 1000) without capabilities, in a container without seccomp or AppArmor
  profile."
{{- else }}
runtimeClassName: sysbox-runc
podSecurity: baseline
note: "runs a Docker daemon as root in a Sysbox container: on the node it is an unprivileged user."
podAnnotations: {io.kubernetes.cri-o.userns-mode: "auto:size=65536"}
securityContext: {{ merge (dict "allowPrivilegeEscalation" true) $root | toJson }}
{{- end }}
{{- end }}

{{- /* The data of the ConfigMap with the scripts of the containers. */ -}}
{{- define "airdock.dindScripts" -}}
{{- include "airdock.filesData" (list . "files/dind/*.{sh,py}") -}}
{{- end }}
