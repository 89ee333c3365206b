{{- /* The containers of mode dind. Each define is called with (dict "root" $ "name" $name "group" $group). */ -}}

{{- /* The daemon. files/dind/start.sh starts it, within the limits of its container. */ -}}
{{- define "airdock.dindDaemon" -}}
{{- $dind := .group.dind -}}
{{- $variant := include "airdock.dindVariant" . | fromYaml -}}
{{- $trust := include "airdock.trustOfDaemon" .root | fromYaml -}}
name: docker
image: {{ $variant.image }}
restartPolicy: Always
command:
  - sh
  - /opt/airdock/start.sh
  - {{ $dind.variant }}
  - dockerd
  # It listens nowhere else.
  - --host=unix:///run/airdock/docker.sock
  {{- if ne (dig "init" true $dind.daemon | toString) "false" }}
  - --init
  {{- end }}
  - --shutdown-timeout=8
  {{- range $option, $value := include "airdock.dindLogOptions" . | fromJson }}
  - {{ printf "--log-opt=%s=%v" $option $value | replace "$" "$$" | quote }}
  {{- end }}
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
  {{- with include "airdock.dindDaemonConfig" . | fromJson }}
  AIRDOCK_DAEMON_CONFIG: {{ toJson . | replace "$" "$$" | quote }}
  {{- end }}
  {{- include "airdock.dindProxyEnv" . | nindent 2 }}
  {{- with $trust.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $dind.minApiVersion }}
  DOCKER_MIN_API_VERSION: {{ . | quote }}
  {{- end }}
startupProbe: {exec: {command: [docker, version]}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 60}
# A daemon that hangs also ignores SIGTERM: without this grace period the kubelet would wait for the pod's, which is long.
livenessProbe: {exec: {command: [docker, version]}, periodSeconds: 15, timeoutSeconds: 15, failureThreshold: 4, terminationGracePeriodSeconds: 10}
resources: {{ toJson $dind.resources }}
securityContext: {{ toJson $variant.securityContext }}
volumeMounts:
  docker-socket: {mountPath: /run/airdock}
  docker-tmp: {mountPath: /run/airdock-tmp}
  docker-data: {mountPath: /var/lib/docker}
  docker-scripts: {mountPath: /opt/airdock, readOnly: true}
  {{- with $trust.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if $dind.registryCAs }}
  docker-cas: {mountPath: {{ $variant.certificates }}, readOnly: true}
  {{- end }}
  {{- range $key, $mount := include "airdock.dindSharedMounts" . | fromJson }}
  {{ $key | quote }}: {{ toJson $mount }}
  {{- end }}
{{- end }}

{{- /* Removes unused containers and images, before the daemon's volume is full. */ -}}
{{- define "airdock.dindPrune" -}}
{{- $dind := .group.dind -}}
name: docker-prune
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
# Every round touches this file.
livenessProbe: {exec: {command: [sh, -c, 'test -n "$(find /tmp/round -mmin -10)"']}, periodSeconds: 60, timeoutSeconds: 5, failureThreshold: 10}
resources: {{ toJson $dind.prune.resources }}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
  docker-scripts: {mountPath: /opt/airdock, readOnly: true}
  # To measure its size; its files belong to root.
  docker-data: {mountPath: /var/lib/docker, readOnly: true}
  docker-prune: {mountPath: /tmp}
{{- end }}

{{- /* Pulls images before the worker starts. */ -}}
{{- define "airdock.dindPull" -}}
{{- $dind := .group.dind -}}
name: docker-pull
image: docker
command: {{ concat (list "sh" "/opt/airdock/pull.sh") $dind.pullBeforeStart | toJson }}
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  {{- with include "airdock.dindConfigDirectory" . }}
  DOCKER_CONFIG: {{ . }}
  {{- end }}
resources: {{ toJson $dind.prune.resources }}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
  docker-scripts: {mountPath: /opt/airdock, readOnly: true}
  docker-prune: {mountPath: /tmp}
  {{- include "airdock.dindConfigMount" . | nindent 2 }}
{{- end }}
