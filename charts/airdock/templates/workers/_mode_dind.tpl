{{- /*
Mode dind: a per-pod Docker daemon in a native sidecar, which is ready before the worker starts and stops after it. The worker can use the
daemon's socket, but not replace it. files/dind/start.sh starts the daemon within the limits of its container.
Call with (dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.mode.dind" -}}
{{- $dind := .group.dind -}}
{{- $variant := include "airdock.dindVariant" . | fromYaml -}}
supplementalGroups: [{{ $variant.socketGroup }}]
annotations: {airdock.dev/dind-variant: {{ $dind.variant }}}
podAnnotations: {{ include "airdock.overlay" (list $variant.podAnnotations (dict "checksum/dind" (include "airdock.dindScripts" .root | sha256sum))) }}
{{- if hasKey $variant "hostUsers" }}
hostUsers: {{ $variant.hostUsers }}
{{- end }}
{{- with $variant.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- if $dind.claim.size }}
kind: StatefulSet
# The pods differ only in their cache, so they need no order.
podManagementPolicy: Parallel
claims: {docker-data: {{ toJson $dind.claim }}}
{{- end }}
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  # The daemon has the worker's temporary directories at the same path, so DockerOperator's mount_tmp_dir works.
  TMPDIR: /run/airdock-tmp
  # The cluster policy then says which value limits a container that is killed for its memory.
  AIRDOCK_DIND_MEMORY_KEY: {{ printf "workers.%s.dind.resources.limits.memory" .name }}
  {{- with get ($dind.resources.limits | default dict) "memory" }}
  AIRDOCK_DIND_MEMORY: {{ include "airdock.quantity" . | float64 | int64 | quote }}
  {{- end }}
  {{- if not .group.executorFacts.podPerTask }}
  AIRFLOW__CELERY__EXTRA_CELERY_CONFIG: {{ include "airdock.dindCeleryConfig" .root | quote }}
  {{- end }}
  {{- with include "airdock.dindConfigDirectory" . }}
  DOCKER_CONFIG: {{ . }}
  {{- end }}
  {{- include "airdock.trustPolicyEnv" (dict "root" .root "directory" "/opt/airdock-trust") | nindent 2 }}
volumes:
  docker-socket: {emptyDir: {sizeLimit: 1Mi}}
  docker-tmp: {emptyDir: {sizeLimit: {{ .group.tmp.sizeLimit }}}}
  docker-scripts: {configMap: {name: {{ include "airdock.fullname" .root }}-dind}}
  {{- if not $dind.claim.size }}
  docker-data: {{ include "airdock.dindDataVolume" . }}
  {{- end }}
  {{- if include "airdock.dindWritesConfig" . }}
  docker-config: {emptyDir: {sizeLimit: 1Mi, medium: Memory}}
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
  {{- with (include "airdock.trustOfDaemon" .root | fromYaml).volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
  docker-tmp: {mountPath: /run/airdock-tmp}
  {{- include "airdock.dindConfigMount" . | nindent 2 }}
initContainers:
  - {{- include "airdock.dindDaemon" . | nindent 4 }}
  - {{- include "airdock.dindPrune" . | nindent 4 }}
  {{- if include "airdock.dindWritesConfig" . }}
  - {{- include "airdock.dindConfig" . | nindent 4 }}
  {{- end }}
  {{- if include "airdock.dindScriptsToRun" . | fromJson }}
  - {{- include "airdock.dindInit" . | nindent 4 }}
  {{- end }}
  {{- if $dind.pullBeforeStart }}
  - {{- include "airdock.dindPull" . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* The source of the daemon's volume, as JSON. Call with (dict "group" $group). */ -}}
{{- define "airdock.dindDataVolume" -}}
{{- .group.dind.dataVolume | default (dict "emptyDir" (dict "sizeLimit" "20Gi")) | toJson -}}
{{- end }}

{{- /* The size of the daemon's volume if the values set it: a file system reports more than the size of a claim or emptyDir. */ -}}
{{- define "airdock.dindDataSize" -}}
{{- $volume := include "airdock.dindDataVolume" . | fromJson -}}
{{- $ephemeral := dig "ephemeral" "volumeClaimTemplate" "spec" "resources" "requests" "storage" "" $volume -}}
{{- .group.dind.claim.size | default (dig "emptyDir" "sizeLimit" "" $volume) | default $ephemeral -}}
{{- end }}

{{- /* airflow.config.celery.extra_celery_config and the module that watches the daemon, as JSON. */ -}}
{{- define "airdock.dindCeleryConfig" -}}
{{- $given := dig "celery" "extra_celery_config" dict (include "airdock.config" . | fromJson) -}}
{{- $given = kindIs "string" $given | ternary (toString $given | fromJson) $given -}}
{{- merge (dict "imports" (append ($given.imports | default list) "airdock_docker_watch")) $given | toJson -}}
{{- end }}

{{- define "airdock.mode.dind.facts" -}}
serves: [docker]
daemon: true
podSecurity: {{ (include "airdock.dindVariant" . | fromYaml).podSecurity }}
apiServer: false
taskPods: false
configMaps: {dind: {component: dind, data: airdock.dindScripts}}
{{- end }}

{{- define "airdock.mode.dind.note" -}}
{{- (include "airdock.dindVariant" . | fromYaml).note -}}
{{- end }}
