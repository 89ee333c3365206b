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
{{- if $dind.claim.size }}
kind: StatefulSet
# Which worker is which does not matter, but for its cache.
podManagementPolicy: Parallel
claims: {docker-data: {{ toJson $dind.claim }}}
{{- end }}
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  # The daemon sees the worker's temporary directories under the same path, so that DockerOperator's mount_tmp_dir works.
  TMPDIR: /run/airdock-tmp
  {{- if eq .group.executor "CeleryExecutor" }}
  AIRFLOW__CELERY__EXTRA_CELERY_CONFIG: {{ include "airdock.dindCeleryConfig" .root | quote }}
  {{- end }}
  {{- if $dind.pullSecret }}
  DOCKER_CONFIG: /run/airdock-registries
  {{- end }}
volumes:
  docker-socket: {emptyDir: {sizeLimit: 1Mi}}
  docker-tmp: {emptyDir: {sizeLimit: {{ .group.tmp.sizeLimit }}}}
  docker-scripts: {configMap: {name: {{ include "airdock.fullname" .root }}-dind}}
  {{- if not $dind.claim.size }}
  docker-data: {{ include "airdock.dindDataVolume" . }}
  {{- end }}
  {{- with $dind.pullSecret }}
  docker-registries: {secret: {secretName: {{ . | quote }}, items: [{key: .dockerconfigjson, path: config.json}]}}
  {{- end }}
  {{- with $dind.registryCAs }}
  docker-cas:
    projected:
      sources:
        {{- range $registry, $ref := . }}
        - configMap: {name: {{ $ref.name | quote }}, items: [{key: {{ $ref.key | quote }}, path: {{ printf "%s/ca.crt" $registry | quote }}}]}
        {{- end }}
  {{- end }}
  docker-prune: {emptyDir: {sizeLimit: 10Mi}}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
  docker-tmp: {mountPath: /run/airdock-tmp}
  {{- if $dind.pullSecret }}
  docker-registries: {mountPath: /run/airdock-registries, readOnly: true}
  {{- end }}
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
      {{- with $dind.network.bip }}
      - {{ printf "--bip=%s" . | quote }}
      {{- end }}
      {{- range $dind.network.defaultAddressPools }}
      - {{ printf "--default-address-pool=base=%s,size=%d" .base (int .size) | quote }}
      {{- end }}
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
      {{- if $dind.registryCAs }}
      docker-cas: {mountPath: {{ $variant.certificates }}, readOnly: true}
      {{- end }}
  - name: docker-prune
    image: docker
    restartPolicy: Always
    command: [sh, /opt/airdock/prune.sh]
    env:
      DOCKER_HOST: unix:///run/airdock/docker.sock
      AIRDOCK_DATA_SIZE: {{ include "airdock.dindDataSize" . | quote }}
      AIRDOCK_STOPPED_MINUTES: {{ $dind.prune.stoppedMinutes | int | quote }}
      AIRDOCK_UNUSED_MINUTES: {{ mul 60 ($dind.prune.unusedHours | int) | quote }}
      AIRDOCK_HIGH_PERCENT: {{ $dind.prune.highThresholdPercent | int | quote }}
      AIRDOCK_LOW_PERCENT: {{ $dind.prune.lowThresholdPercent | int | quote }}
    # It touches the file in each round.
    livenessProbe: {exec: {command: [sh, -c, 'test -n "$(find /tmp/round -mmin -10)"']}, periodSeconds: 60, timeoutSeconds: 5, failureThreshold: 10}
    resources: {{ toJson $dind.prune.resources }}
    volumeMounts:
      docker-socket: {mountPath: /run/airdock, readOnly: true}
      docker-scripts: {mountPath: /opt/airdock, readOnly: true}
      # For its size: what is in it belongs to root.
      docker-data: {mountPath: /var/lib/docker, readOnly: true}
      docker-prune: {mountPath: /tmp}
  {{- with $dind.pullBeforeStart }}
  - name: docker-pull
    image: docker
    command: {{ concat (list "sh" "/opt/airdock/pull.sh") . | toJson }}
    env:
      DOCKER_HOST: unix:///run/airdock/docker.sock
      {{- if $dind.pullSecret }}
      DOCKER_CONFIG: /run/airdock-registries
      {{- end }}
    resources: {{ toJson $dind.prune.resources }}
    volumeMounts:
      docker-socket: {mountPath: /run/airdock, readOnly: true}
      docker-scripts: {mountPath: /opt/airdock, readOnly: true}
      docker-prune: {mountPath: /tmp}
      {{- if $dind.pullSecret }}
      docker-registries: {mountPath: /run/airdock-registries, readOnly: true}
      {{- end }}
  {{- end }}
{{- end }}

{{- /* The source of the daemon's volume, as JSON. Call with (dict "group" $group). */ -}}
{{- define "airdock.dindDataVolume" -}}
{{- .group.dind.dataVolume | default (dict "emptyDir" (dict "sizeLimit" "20Gi")) | toJson -}}
{{- end }}

{{- /* The size of the daemon's volume where the values tell: file systems tell more than a claim or an emptyDir has. */ -}}
{{- define "airdock.dindDataSize" -}}
{{- $volume := include "airdock.dindDataVolume" . | fromJson -}}
{{- $ephemeral := dig "ephemeral" "volumeClaimTemplate" "spec" "resources" "requests" "storage" "" $volume -}}
{{- .group.dind.claim.size | default (dig "emptyDir" "sizeLimit" "" $volume) | default $ephemeral -}}
{{- end }}

{{- /* The user's celery.extra_celery_config with the module that watches the daemon, as JSON. */ -}}
{{- define "airdock.dindCeleryConfig" -}}
{{- $given := dig "celery" "extra_celery_config" dict (include "airdock.config" . | fromJson) -}}
{{- $given = kindIs "string" $given | ternary (toString $given | fromJson) $given -}}
{{- merge (dict "imports" (append ($given.imports | default list) "airdock_docker_watch")) $given | toJson -}}
{{- end }}

{{- /* All that a variant needs, as a YAML map. docs/dind.md says what each asks of the node. Call with (dict "group" $group). */ -}}
{{- define "airdock.dindVariant" -}}
{{- $root := dict "runAsUser" 0 "runAsGroup" 0 "runAsNonRoot" false -}}
image: {{ eq .group.dind.variant "rootless" | ternary "dockerRootless" "docker" }}
certificates: {{ eq .group.dind.variant "rootless" | ternary "/home/rootless/.config/docker/certs.d" "/etc/docker/certs.d" }}
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

{{- /* What cannot work in a group of mode dind, as a JSON list of messages. Call with (dict "name" $name "group" $group). */ -}}
{{- define "airdock.dindProblems" -}}
{{- $dind := .group.dind -}}
{{- $key := printf "workers.%s.dind" .name -}}
{{- $problems := list -}}
{{- if and $dind.claim.size $dind.dataVolume -}}
{{- $problems = append $problems (printf "%s.claim: dataVolume is given too, and a daemon has one volume. Remove one of them." $key) -}}
{{- end -}}
{{- if ge (int $dind.prune.lowThresholdPercent) (int $dind.prune.highThresholdPercent) -}}
{{- $problems = append $problems (printf "%s.prune.lowThresholdPercent: %d is not below highThresholdPercent, %d. Give a lower one." $key (int $dind.prune.lowThresholdPercent) (int $dind.prune.highThresholdPercent)) -}}
{{- end -}}
{{- $network := $dind.network -}}
{{- $ranges := dict -}}
{{- with $network.bip }}{{ $_ := set $ranges . "bip" }}{{ end -}}
{{- range $network.defaultAddressPools -}}
{{- $_ := set $ranges .base "defaultAddressPools" -}}
{{- if lt (int .size) (splitList "/" .base | last | int) -}}
{{- $problems = append $problems (printf "%s.network.defaultAddressPools: networks of /%d do not fit into %s. Give a larger size." $key (int .size) .base) -}}
{{- end -}}
{{- end -}}
{{- if not $network.defaultAddressPools -}}
{{- range list "172.17.0.0/16" "172.18.0.0/15" "172.20.0.0/14" "172.24.0.0/13" "192.168.0.0/16" -}}
{{- $_ := set $ranges . "defaultAddressPools (Docker's own)" -}}
{{- end -}}
{{- end -}}
{{- range $range, $what := $ranges -}}
{{- range $network.clusterCIDRs -}}
{{- $ours := include "airdock.addresses" $range | fromJson -}}
{{- $theirs := include "airdock.addresses" . | fromJson -}}
{{- if and (lt $ours.first $theirs.end) (lt $theirs.first $ours.end) -}}
{{- $problems = append $problems (printf "%s.network.%s: %s overlaps %s of clusterCIDRs, which tasks could not reach. Give another range." $key $what $range .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* The first address of an IPv4 range and the one after its last, as numbers in JSON. */ -}}
{{- define "airdock.addresses" -}}
{{- $parts := splitList "/" . -}}
{{- $number := 0 -}}
{{- range first $parts | splitList "." }}{{ $number = add (mul $number 256) (int .) }}{{ end -}}
{{- $size := 1 -}}
{{- range until (sub 32 (last $parts | int) | int) }}{{ $size = mul $size 2 }}{{ end -}}
{{- $first := mul $size (div $number $size) -}}
{{- dict "first" $first "end" (add $first $size) | toJson -}}
{{- end }}
