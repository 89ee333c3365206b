{{- /*
Mode dind: a Docker daemon of the pod's own, as a native sidecar: it answers before the worker starts and ends after it.
The worker reaches it by a socket that it can use and not replace. files/dind/start.sh starts it, within the limits of its container.
Call with (dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.mode.dind" -}}
{{- $dind := .group.dind -}}
{{- $variant := include "airdock.dindVariant" . | fromYaml -}}
supplementalGroups: [{{ $variant.socketGroup }}]
podAnnotations: {{ include "airdock.overlay" (list $variant.podAnnotations (dict "checksum/dind" (include "airdock.dindScripts" .root | sha256sum))) }}
{{- if hasKey $variant "hostUsers" }}
hostUsers: {{ $variant.hostUsers }}
{{- end }}
{{- with $variant.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  # The daemon sees the worker's temporary directories under the same path, so that DockerOperator's mount_tmp_dir works.
  TMPDIR: /run/airdock-tmp
volumes:
  docker-socket: {emptyDir: {sizeLimit: 1Mi}}
  docker-tmp: {emptyDir: {sizeLimit: {{ .group.tmp.sizeLimit }}}}
  docker-data: {{ $dind.dataVolume | default (dict "emptyDir" (dict "sizeLimit" "20Gi")) | toJson }}
  docker-scripts: {configMap: {name: {{ include "airdock.fullname" .root }}-dind}}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
  docker-tmp: {mountPath: /run/airdock-tmp}
initContainers:
  - name: docker
    image: {{ $variant.image }}
    restartPolicy: Always
    command:
      - sh
      - /opt/airdock/start.sh
      - {{ $dind.variant }}
      - dockerd
      # The only place where it listens.
      - --host=unix:///run/airdock/docker.sock
      - --init
      - --shutdown-timeout=8
      - --log-opt=max-size=50m
      - --log-opt=max-file=2
      {{- range $dind.registryMirrors }}
      - {{ printf "--registry-mirror=%s" . | quote }}
      {{- end }}
      {{- range $dind.insecureRegistries }}
      - {{ printf "--insecure-registry=%s" . | quote }}
      {{- end }}
    env:
      DOCKER_HOST: unix:///run/airdock/docker.sock
      AIRDOCK_PIDS_LIMIT: {{ $dind.pidsLimit | int | quote }}
    startupProbe: {exec: {command: [docker, version]}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 60}
    # A daemon that hangs does not end when asked, either: the probe's own grace period keeps the pod's from being waited for.
    livenessProbe: {exec: {command: [docker, version]}, periodSeconds: 15, timeoutSeconds: 15, failureThreshold: 4, terminationGracePeriodSeconds: 10}
    resources: {{ toJson $dind.resources }}
    securityContext: {{ toJson $variant.securityContext }}
    volumeMounts:
      docker-socket: {mountPath: /run/airdock}
      docker-tmp: {mountPath: /run/airdock-tmp}
      docker-data: {mountPath: /var/lib/docker}
      docker-scripts: {mountPath: /opt/airdock, readOnly: true}
{{- end }}

{{- /* All that a variant needs, as a YAML map. docs/dind.md says what each asks of the node. Call with (dict "group" $group). */ -}}
{{- define "airdock.dindVariant" -}}
{{- $root := dict "runAsUser" 0 "runAsGroup" 0 "runAsNonRoot" false -}}
image: {{ eq .group.dind.variant "rootless" | ternary "dockerRootless" "docker" }}
# Who may use the socket. In rootless' user namespace no other group exists.
socketGroup: {{ eq .group.dind.variant "rootless" | ternary 1000 2375 }}
{{- if eq .group.dind.variant "privileged" }}
securityContext: {{ merge (dict "privileged" true) $root | toJson }}
{{- else if eq .group.dind.variant "userNamespace" }}
hostUsers: false
# Capabilities that end at the pod's user namespace.
securityContext:
  {{- toYaml $root | nindent 2 }}
  allowPrivilegeEscalation: true
  capabilities: {add: [NET_ADMIN, SYS_ADMIN, SYS_PTRACE, SYS_RESOURCE]}
  # Nested containers mount /proc, which the kernel allows only to those who see all of it.
  procMount: Unmasked
  seccompProfile: {type: Unconfined}
  appArmorProfile: {type: Unconfined}
{{- else if eq .group.dind.variant "rootless" }}
# privileged for /proc, seccomp and AppArmor: uid 1000 has none of the capabilities.
securityContext: {privileged: true, runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true}
{{- else }}
runtimeClassName: sysbox-runc
podAnnotations: {io.kubernetes.cri-o.userns-mode: "auto:size=65536"}
securityContext: {{ merge (dict "allowPrivilegeEscalation" true) $root | toJson }}
{{- end }}
{{- end }}

{{- /* The data of the ConfigMap of scripts that the daemon's container runs. */ -}}
{{- define "airdock.dindScripts" -}}
{{- range $path, $_ := .Files.Glob "files/dind/*.sh" }}
{{ base $path }}: |
  {{- $.Files.Get $path | nindent 2 }}
{{- end }}
{{- end }}
