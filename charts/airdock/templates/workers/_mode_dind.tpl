{{- /*
Mode dind: a Docker daemon of the pod's own, as a native sidecar: it answers before the worker starts and ends after it.
The worker reaches it by a socket that it can use and not replace. files/dind/start.sh starts it, within the limits of its container.
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
# Which worker is which does not matter, but for its cache.
podManagementPolicy: Parallel
claims: {docker-data: {{ toJson $dind.claim }}}
{{- end }}
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  # The daemon sees the worker's temporary directories under the same path, so that DockerOperator's mount_tmp_dir works.
  TMPDIR: /run/airdock-tmp
  {{- if not .group.executorFacts.podPerTask }}
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
  - {{- include "airdock.dindDaemon" . | nindent 4 }}
  - {{- include "airdock.dindPrune" . | nindent 4 }}
  {{- if $dind.pullBeforeStart }}
  - {{- include "airdock.dindPull" . | nindent 4 }}
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

{{- define "airdock.mode.dind.facts" -}}
serves: [docker]
podSecurity: {{ (include "airdock.dindVariant" . | fromYaml).podSecurity }}
apiServer: false
taskPods: false
configMaps: {dind: {component: dind, data: airdock.dindScripts}}
{{- end }}

{{- define "airdock.mode.dind.note" -}}
{{- (include "airdock.dindVariant" . | fromYaml).note -}}
{{- end }}
