{{- /*
Mode socket: the node's Docker daemon, behind the Docker gateway, which alone holds the node's socket. Call with
(dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.mode.socket" -}}
{{- include (eq true .group.socket.filter | ternary "airdock.dockerGateway" "airdock.rawSocket") . -}}
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
