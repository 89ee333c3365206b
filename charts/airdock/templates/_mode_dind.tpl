{{- /*
Mode dind: a Docker daemon of the pod's own, as a native sidecar: it answers before the worker starts and ends after it.
The worker reaches it by a socket that it can use and not replace. Call with (dict "root" $ "group" $group).
*/ -}}
{{- define "airdock.mode.dind" -}}
{{- $dind := .group.dind -}}
supplementalGroups: [2375]
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  # The daemon sees the worker's temporary directories under the same path, so that DockerOperator's mount_tmp_dir works.
  TMPDIR: /run/airdock-tmp
volumes:
  docker-socket: {emptyDir: {sizeLimit: 1Mi}}
  docker-tmp: {emptyDir: {sizeLimit: {{ .group.tmp.sizeLimit }}}}
  docker-data: {{ $dind.dataVolume | default (dict "emptyDir" (dict "sizeLimit" "20Gi")) | toJson }}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
  docker-tmp: {mountPath: /run/airdock-tmp}
initContainers:
  - name: docker
    image: docker
    restartPolicy: Always
    # Everything is said here: without a command, the image's entrypoint also listens on TCP.
    command:
      - docker-init
      - --
      - dockerd
      - --host=unix:///run/airdock/docker.sock
      - --group=2375
      - --init
      - --shutdown-timeout=8
      {{- range $dind.registryMirrors }}
      - {{ printf "--registry-mirror=%s" . | quote }}
      {{- end }}
      {{- range $dind.insecureRegistries }}
      - {{ printf "--insecure-registry=%s" . | quote }}
      {{- end }}
    env: {DOCKER_HOST: "unix:///run/airdock/docker.sock"}
    startupProbe: {exec: {command: [docker, version]}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 60}
    livenessProbe: {exec: {command: [docker, version]}, periodSeconds: 30, timeoutSeconds: 20, failureThreshold: 6}
    resources: {{ toJson $dind.resources }}
    securityContext: {privileged: true, runAsUser: 0, runAsGroup: 0, runAsNonRoot: false}
    volumeMounts:
      docker-socket: {mountPath: /run/airdock}
      docker-tmp: {mountPath: /run/airdock-tmp}
      docker-data: {mountPath: /var/lib/docker}
{{- end }}
