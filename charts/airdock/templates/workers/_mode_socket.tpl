{{- /*
Mode socket: the node's Docker daemon, behind the Docker gateway, which alone holds the node's socket. Call with
(dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.mode.socket" -}}
{{- include (eq true .group.socket.filter | ternary "airdock.dockerGateway" "airdock.rawSocket") . -}}
{{- end }}

{{- define "airdock.mode.socket.facts" -}}
{{- $filter := eq true .group.socket.filter -}}
serves: {{ concat (list "docker") (ternary (list "gateway") list $filter) | toJson }}
podSecurity: privileged
apiServer: false
taskPods: false
{{- if $filter }}
configMaps: {docker-gateway: {component: worker, data: airdock.dockerGatewayCode}}
{{- end }}
{{- end }}

{{- define "airdock.mode.socket.problems" -}}
{{- $problems := list -}}
{{- if not (hasKey .group.socket "gid") -}}
{{- $problems = append $problems (printf "workers.%s.socket.gid: is missing. Give the group id of the nodes' Docker socket: stat -c %%g %s, run on a node." .name .group.socket.path) -}}
{{- end -}}
{{- if .group.runtimeClassName -}}
{{- $problems = append $problems (printf "workers.%s.runtimeClassName: a sandboxed runtime cannot use the node's Docker socket. Remove it, or choose mode dind." .name) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "airdock.mode.socket.note" -}}
{{- if .group.socket.filter -}}
runs its tasks on the node's Docker daemon, through a filter. They share that daemon's kernel, disk and images.
{{- else -}}
mounts the node's Docker socket: whoever writes a DAG for its queues is root on its nodes. Set socket.filter: true.
{{- end }}
{{- if not .group.nodeSelector }} It has no nodeSelector: on a node without Docker its pods wait for ever.{{ end }}
{{- end }}

{{- /* The node's socket in the worker itself: whoever writes a DAG for this group's queues is root on its nodes. */ -}}
{{- define "airdock.rawSocket" -}}
{{- $pods := printf "%s/pods" .group.socket.kubeletRootDir -}}
supplementalGroups: [{{ .group.socket.gid | int }}]
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  POD_UID: {valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
  # The path under which the node sees the emptyDir `docker-tmp`: a link in the emptyDir makes it good in the pod too.
  TMPDIR: {{ $pods }}/$(POD_UID)/volumes/kubernetes.io~empty-dir/docker-tmp
volumes:
  # The type makes a missing socket an error: without it the kubelet would create a directory on the node.
  docker-socket: {hostPath: {path: {{ .group.socket.path | quote }}, type: Socket}}
  docker-tmp: {emptyDir: {sizeLimit: {{ .group.tmp.sizeLimit }}}}
volumeMounts:
  docker-socket: {mountPath: /run/airdock/docker.sock, readOnly: true}
  docker-tmp: {mountPath: {{ $pods | quote }}}
initContainers:
  - name: link-tmp
    command: [sh, -c, 'mkdir -p "${TMPDIR%/*}" && ln -sfn {{ $pods }} "$TMPDIR"']
    env:
      POD_UID: {valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
      TMPDIR: {{ $pods }}/$(POD_UID)/volumes/kubernetes.io~empty-dir/docker-tmp
    volumeMounts:
      docker-tmp: {mountPath: {{ $pods | quote }}}
{{- end }}
