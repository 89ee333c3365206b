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
