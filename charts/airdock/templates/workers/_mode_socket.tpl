{{- /*
Mode socket: the node's Docker daemon, behind the Docker gateway, the only container that mounts the node's socket. Call with
(dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.mode.socket" -}}
{{- include (eq false .group.socket.filter | ternary "airdock.rawSocket" "airdock.dockerGateway") . -}}
{{- end }}

{{- define "airdock.mode.socket.facts" -}}
{{- /* Only a plain false takes the filter away. */ -}}
{{- $filter := eq false .group.socket.filter | not -}}
serves: {{ concat (list "docker") (ternary (list "gateway") list $filter) | toJson }}
podSecurity: privileged
apiServer: false
taskPods: false
{{- if $filter }}
configMaps:
  {{- include "airdock.dockerGatewayConfigMaps" "daemon" | nindent 2 }}
{{- end }}
{{- end }}

{{- define "airdock.mode.socket.problems" -}}
{{- $problems := list -}}
{{- if not (hasKey .group.socket "gid") -}}
{{- $problems = append $problems (printf "workers.%s.socket.gid: is missing. Set it to the group ID of the Docker socket on the nodes. This command prints it, on a node: stat -c %%g %s" .name .group.socket.path) -}}
{{- end -}}
{{- if .group.runtimeClassName -}}
{{- $problems = append $problems (printf "workers.%s.runtimeClassName: a sandboxed runtime cannot use the node's Docker socket. Remove it, or set workers.%s.mode: dind." .name .name) -}}
{{- end -}}
{{- if not (eq false .group.socket.filter) -}}
{{- $key := printf "workers.%s.socket.allowed" .name -}}
{{- if has "host" .group.socket.allowed.networks -}}
{{- $problems = append $problems (printf "%s.networks: host is the node's network, not a Docker network. Remove it, or use a group in mode dind." $key) -}}
{{- end -}}
{{- $paths := include "airdock.socketBinds" .group | fromJsonArray -}}
{{- if ne (len $paths) (len (uniq $paths)) -}}
{{- $problems = append $problems (printf "%s.binds: two entries have the same path. Remove one of them." $key) -}}
{{- end -}}
{{- $socket := .group.socket.path -}}
{{- range $path := uniq $paths -}}
{{- if or (hasPrefix (printf "%s/" $path) (printf "%s/" $socket)) (hasPrefix (printf "%s/" $path | replace "/var/run/" "/run/") (replace "/var/run/" "/run/" $socket)) -}}
{{- $problems = append $problems (printf "%s.binds: %s contains the Docker socket of the node, so every DAG author could become root on it. Remove it." $key $path) -}}
{{- end -}}
{{- /* Every DAG author can use every group: what one group can write, another one must not mount a part of. */ -}}
{{- range $name, $group := include "airdock.workers" $.root | fromJson -}}
{{- if and (eq $group.mode "socket") (not (eq false $group.socket.filter)) -}}
{{- range $other := include "airdock.socketBinds" $group | fromJsonArray -}}
{{- if hasPrefix (printf "%s/" $other) $path -}}
{{- $problems = append $problems (printf "%s.binds: %s is below %s of workers.%s.socket.allowed.binds. A container could put a link to any path of the node in its place. Remove one of them." $key $path $other $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* The paths of a group's socket.allowed.binds, as a JSON list. Call with the group. */ -}}
{{- define "airdock.socketBinds" -}}
{{- $paths := list -}}
{{- range .socket.allowed.binds }}{{ if kindIs "map" . }}{{ $paths = append $paths .path }}{{ else }}{{ $paths = append $paths . }}{{ end }}{{ end -}}
{{- toJson $paths -}}
{{- end }}

{{- define "airdock.mode.socket.note" -}}
{{- if has "gateway" .group.facts.serves -}}
runs its tasks on the node's Docker daemon, through the Docker gateway. They share the node's kernel, disk and image store.
{{- else -}}
mounts the node's Docker socket: every DAG author can become root on its nodes. To filter requests, set
    workers.{{ .name }}.socket.filter: true.
{{- end }}
{{- if not .group.nodeSelector }}
    Its pods never start on a node without Docker: set workers.{{ .name }}.nodeSelector.{{ end }}
{{- end }}

{{- /* The node's socket in the worker itself: every DAG author can become root on the group's nodes. */ -}}
{{- define "airdock.rawSocket" -}}
{{- $pods := printf "%s/pods" .group.socket.kubeletRootDir -}}
supplementalGroups: [{{ .group.socket.gid | int }}]
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  AIRDOCK_POD_UID: {valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
  # The path of the emptyDir `docker-tmp` on the node. A link in the emptyDir makes it valid in the pod, too.
  TMPDIR: {{ $pods }}/$(AIRDOCK_POD_UID)/volumes/kubernetes.io~empty-dir/docker-tmp
  {{- include "airdock.trustPolicyEnv" (dict "root" .root "directory" (include "airdock.trustOnNode" .group)) | nindent 2 }}
volumes:
  # With the type, a missing socket is an error. Without it, the kubelet would create a directory on the node.
  docker-socket: {hostPath: {path: {{ .group.socket.path | quote }}, type: Socket}}
  docker-tmp: {emptyDir: {sizeLimit: {{ .group.tmp.sizeLimit }}}}
volumeMounts:
  docker-socket: {mountPath: /run/airdock/docker.sock, readOnly: true}
  docker-tmp: {mountPath: {{ $pods | quote }}}
initContainers:
  - name: link-tmp
    command: [sh, -c, 'mkdir -p "${TMPDIR%/*}" && ln -sfn {{ $pods }} "$TMPDIR"']
    env:
      AIRDOCK_POD_UID: {valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
      TMPDIR: {{ $pods }}/$(AIRDOCK_POD_UID)/volumes/kubernetes.io~empty-dir/docker-tmp
    volumeMounts:
      docker-tmp: {mountPath: {{ $pods | quote }}}
{{- end }}
