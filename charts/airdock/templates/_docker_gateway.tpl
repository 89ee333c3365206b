{{- /*
The Docker gateway: a native sidecar that answers on the worker's Docker socket and turns each container into a pod of the task namespace.
Its uid is its own: DAG code can use the socket, and can neither replace it nor look into the process.
*/ -}}

{{- /* The settings file of a group's gateway, as JSON. Call with (dict "root" $ "name" $name). */ -}}
{{- define "airdock.dockerGatewaySettings" -}}
{{- $tasks := .root.Values.tasks -}}
{{- $settings := dict
      "namespace" (include "airdock.taskNamespace" .root)
      "serviceAccount" (printf "%s-task" (include "airdock.fullname" .root))
      "user" ($tasks.user | int)
      "userNamespaces" $tasks.userNamespaces
      "resources" $tasks.resources
      "retrieveImage" (include "airdock.image" .root.Values.images.xcomSidecar)
      "registries" $tasks.registries
      "claims" $tasks.claims
      "binds" $tasks.binds
      "networks" $tasks.networks
      "imagePullSecrets" $tasks.imagePullSecrets -}}
{{- dict "backend" "cluster" "workerGroup" .name "tasks" $settings | toJson -}}
{{- end }}

{{- /* Code of the gateway, the data of its ConfigMap. */ -}}
{{- define "airdock.dockerGatewayCode" -}}
{{- range $path, $_ := .Files.Glob "files/docker_gateway/*.py" }}
{{ base $path }}: |
  {{- $.Files.Get $path | nindent 2 }}
{{- end }}
{{- end }}

{{- /*
What the gateway adds to a worker's pod, in the form of a mode's part. Call with (dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.dockerGateway" -}}
env:
  DOCKER_HOST: unix:///run/airdock/docker.sock
  # Tells the cluster policy to label what DockerOperator asks for.
  AIRDOCK_DOCKER_GATEWAY: "true"
podAnnotations:
  checksum/docker-gateway: {{ printf "%s%s" (include "airdock.dockerGatewayCode" .root) (include "airdock.dockerGatewaySettings" .) | sha256sum }}
volumes:
  {{- if not .group.kubernetesOperators }}
  token:
    {{- include "airdock.tokenVolume" . | nindent 4 }}
  {{- end }}
  docker-socket: {emptyDir: {sizeLimit: 1Mi}}
  docker-gateway: {configMap: {name: {{ include "airdock.fullname" .root }}-docker-gateway}}
  docker-gateway-settings: {configMap: {name: {{ include "airdock.fullname" .root }}-docker-gateway-settings}}
volumeMounts:
  docker-socket: {mountPath: /run/airdock, readOnly: true}
initContainers:
  - name: docker-gateway
    image: airflow
    restartPolicy: Always
    command: [python, -SE, /opt/docker_gateway]
    env:
      AIRDOCK_GATEWAY_CONFIG: /etc/docker_gateway/{{ .name }}.json
      AIRDOCK_GATEWAY_OWNER: {valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
      PYTHONUNBUFFERED: "1"
    # Names that Kustomize may change; they win over those of the file.
    envFrom: [{configMapRef: {name: {{ include "airdock.fullname" .root }}-env}}]
    ports: {gateway: 9323}
    startupProbe: {httpGet: {path: /readyz, port: gateway}, periodSeconds: 1, failureThreshold: 60}
    readinessProbe: {httpGet: {path: /readyz, port: gateway}, periodSeconds: 10}
    livenessProbe: {httpGet: {path: /healthz, port: gateway}, periodSeconds: 15, failureThreshold: 4, timeoutSeconds: 5}
    resources: {{ toJson .group.dockerGateway.resources }}
    securityContext:
      runAsUser: 50001
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      docker-socket: {mountPath: /run/airdock}
      docker-gateway: {mountPath: /opt/docker_gateway, readOnly: true}
      docker-gateway-settings: {mountPath: /etc/docker_gateway, readOnly: true}
      token: {mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}
