{{- /*
The Docker gateway: a native sidecar that serves the worker's Docker socket. Its backend `cluster` turns each container into a pod of the task
namespace, `daemon` passes it to the node's Docker daemon. DAG code can use the socket, but can neither replace it nor inspect the process: the worker mounts
its directory read-only, and cannot see the process, which also has a dedicated uid, except where OpenShift assigns uids.
*/ -}}

{{- /*
The settings file of a group's gateway, as JSON. The names of the release's objects come from its environment. Call with
(dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.dockerGatewaySettings" -}}
{{- $settings := dict "workerGroup" .name -}}
{{- $lease := .group.dockerGateway.leaseSeconds | int -}}
{{- if include "airdock.serves" (dict "group" .group "what" "clusterGateway") -}}
{{- $given := .group.tasks -}}
{{- $tasks := pick $given "user" "userNamespaces" "resources" "registries" "claims" "binds" "networks" "imagePullSecrets" "pod" "podLabels" "podAnnotations" "gpuResource" "gpusPerContainer" "ulimits" "ttlSeconds" -}}
{{- $_ := set $tasks "stdin" (eq true $given.stdin) -}}
{{- if and (include "airdock.openshift" .root) (not (include "airdock.taskUser" $given)) }}{{ $_ := set $tasks "user" "assigned" }}{{ end -}}
{{- $_ := set $tasks "podLabels" (include "airdock.overlay" (list $given.podLabels) | fromJson) -}}
{{- with include "airdock.taskLabels" (dict "root" .root "namespace" $given.namespace) | fromJsonArray }}{{ $_ := set $tasks "reservedLabels" . }}{{ end -}}
{{- $_ := set $tasks "env" (include "airdock.taskEnv" (dict "root" .root "tasks" $given) | fromJson) -}}
{{- with include "airdock.trustOfTasks" .root | fromJson }}{{ $_ := set $tasks "trust" . }}{{ end -}}
{{- $_ := set $tasks "tmpSizeLimit" (toString $given.tmp.sizeLimit) -}}
{{- $_ := set $tasks "resultMaxSize" (toString $given.resultMaxSize) -}}
{{- $_ := set $tasks "maxGraceSeconds" (int64 $given.admission.maxTerminationGracePeriodSeconds) -}}
{{- $_ := set $tasks "ttlSecondsAfterFinished" (int64 $given.ttlSecondsAfterFinished) -}}
{{- $_ := set $tasks "scheduleTimeoutSeconds" $given.timeouts.scheduleSeconds -}}
{{- $_ := set $tasks "mountTimeoutSeconds" $given.timeouts.mountSeconds -}}
{{- $_ := set $tasks "pullTimeoutSeconds" $given.timeouts.pullSeconds -}}
{{- $_ := set $tasks "createTimeoutSeconds" $given.timeouts.createSeconds -}}
{{- /* The admission policy judges images; where it exists, the gateway refuses the same ones, before it creates a pod. */ -}}
{{- $_ := set $tasks "images" (eq true $given.admission.enabled | ternary $given.admission.images list) -}}
{{- $_ := set $tasks "forbiddenPods" (include "airdock.forbiddenPods" (dict "root" .root "tasks" $given) | fromJson | values | sortAlpha) -}}
{{- if and .root.Values.networkPolicy.enabled (ne $given.networkPolicy.egress "open") }}{{ $_ := set $tasks "egressPolicy" (printf "%s-tasks-egress" (include "airdock.fullname" .root)) }}{{ end -}}
{{- if $lease }}{{ $_ := set $tasks "leaseSeconds" $lease }}{{ end -}}
{{- $settings = merge $settings (dict "backend" "cluster" "tasks" $tasks) -}}
{{- else -}}
{{- $socket := .group.socket -}}
{{- $daemon := merge (pick $socket "cgroupParent" "ttlSeconds") $socket.limits $socket.allowed -}}
{{- /* Helm reads numbers as floats, and null removes an entry. */ -}}
{{- $ulimits := dict -}}
{{- range $ulimit, $most := $socket.limits.ulimits }}{{ if not (kindIs "invalid" $most) }}{{ $_ := set $ulimits $ulimit (int64 $most) }}{{ end }}{{ end -}}
{{- $_ := set $daemon "ulimits" $ulimits -}}
{{- if include "airdock.trustsInContainers" .root }}{{ $_ := set $daemon "env" (include "airdock.trustVariables" .root | fromYaml) }}{{ end -}}
{{- if $lease }}{{ $_ := set $daemon "leaseSeconds" $lease }}{{ end -}}
{{- $settings = merge $settings (dict "backend" "daemon" "daemon" $daemon) -}}
{{- end -}}
{{- toJson $settings -}}
{{- end }}

{{- /*
The gateway's code, as the data of two ConfigMaps: what both backends share, and the files of one backend. The pod mounts both into one
directory. One ConfigMap would be too large: a client-side kubectl apply keeps each object in an annotation, of 256 KiB at most.
*/ -}}
{{- define "airdock.dockerGatewayCode" -}}
{{- include "airdock.filesData" (list . "files/docker_gateway/*.py" "cluster" "daemon") -}}
{{- end }}

{{- define "airdock.dockerGatewayClusterCode" -}}
{{- include "airdock.filesData" (list . "files/docker_gateway/cluster*.py") -}}
{{- end }}

{{- define "airdock.dockerGatewayDaemonCode" -}}
{{- include "airdock.filesData" (list . "files/docker_gateway/daemon*.py") -}}
{{- end }}

{{- /* The ConfigMaps of a mode with a gateway, for its facts. Call with the backend: cluster or daemon. */ -}}
{{- define "airdock.dockerGatewayConfigMaps" -}}
docker-gateway: {component: worker, data: airdock.dockerGatewayCode}
docker-gateway-{{ . }}: {component: worker, data: airdock.dockerGateway{{ title . }}Code}
{{- end }}

{{- /* What the gateway adds to a worker's pod, in the format of airdock.mode.<name>. Call with (dict "root" $ "name" $name "group" $group). */ -}}
{{- define "airdock.dockerGateway" -}}
{{- $cluster := include "airdock.serves" (dict "group" .group "what" "clusterGateway") -}}
{{- $backend := empty $cluster | ternary "daemon" "cluster" -}}
{{- $own := eq $backend "cluster" | ternary "airdock.dockerGatewayClusterCode" "airdock.dockerGatewayDaemonCode" -}}
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  # The cluster policy then labels the containers of DockerOperator.
  AIRDOCK_DOCKER_GATEWAY: "true"
podAnnotations:
  checksum/docker-gateway: {{ printf "%s%s%s" (include "airdock.dockerGatewayCode" .root) (include $own .root) (include "airdock.dockerGatewaySettings" .) | sha256sum }}
volumes:
  {{- if not $cluster }}
  # With the type, a missing socket is an error. Without it, the kubelet would create a directory on the node.
  docker-host: {hostPath: {path: {{ .group.socket.path | quote }}, type: Socket}}
  {{- else if not .group.kubernetesOperators }}
  token:
    {{- include "airdock.tokenVolume" . | nindent 4 }}
  {{- end }}
  docker-socket: {emptyDir: {sizeLimit: 1Mi}}
  docker-gateway:
    projected:
      sources:
        - configMap: {name: {{ include "airdock.fullname" .root }}-docker-gateway}
        - configMap: {name: {{ include "airdock.fullname" .root }}-docker-gateway-{{ $backend }}}
  docker-gateway-settings: {configMap: {name: {{ include "airdock.fullname" .root }}-worker-{{ .name }}-docker-gateway}}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
initContainers:
  - name: docker-gateway
    image: airflow
    restartPolicy: Always
    command: [python, -SE, /opt/docker_gateway]
    env:
      AIRDOCK_GATEWAY_CONFIG: /etc/docker_gateway/settings.json
      AIRDOCK_GATEWAY_OWNER: {valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
      PYTHONUNBUFFERED: "1"
    {{- if $cluster }}
      {{- include "airdock.groupTasksEnv" . | trim | nindent 6 }}
    # It contains names that Kustomize can change.
    envFrom: [{configMapRef: {name: {{ include "airdock.fullname" .root }}-env}}]
    {{- else if include "airdock.trustsInContainers" .root }}
      AIRDOCK_POD_UID: {valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
      AIRDOCK_TRUST_DIRECTORY: {{ include "airdock.trustOnNode" .group }}
    {{- end }}
    ports: {gateway: 9323}
    startupProbe: {httpGet: {path: /readyz, port: gateway}, periodSeconds: 1, failureThreshold: 60}
    readinessProbe: {httpGet: {path: /readyz, port: gateway}, periodSeconds: 10}
    livenessProbe: {httpGet: {path: /healthz, port: gateway}, periodSeconds: 15, failureThreshold: 4, timeoutSeconds: 5}
    resources: {{ toJson .group.dockerGateway.resources }}
    securityContext:
      {{- if not (include "airdock.assignsUsers" (dict "root" .root "values" .group)) }}
      runAsUser: 50001
      {{- end }}
      {{- if not $cluster }}
      # The group of the node's socket, for this container only.
      runAsGroup: {{ .group.socket.gid | int }}
      {{- end }}
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      docker-socket: {mountPath: /run/airdock}
      docker-gateway: {mountPath: /opt/docker_gateway, readOnly: true}
      docker-gateway-settings: {mountPath: /etc/docker_gateway, readOnly: true}
      {{- if $cluster }}
      token: {mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
      {{- else }}
      docker-host: {mountPath: /run/docker-host/docker.sock, readOnly: true}
      {{- end }}
{{- end }}
