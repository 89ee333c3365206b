{{- /*
CA certificates of the user's own: trust. Programs read one file of certificates, and each has a variable for its path. So an init container
writes the image's certificates and the user's into one file. Each define is called with the root.
*/ -}}

{{- /* "true" if there are certificates. */ -}}
{{- define "airdock.hasTrust" -}}
{{- if or .Values.trust.configMap .Values.trust.secret }}true{{ end -}}
{{- end }}

{{- /* The certificates as a volume source, as JSON: a directory with ca.crt. */ -}}
{{- define "airdock.trustSource" -}}
{{- $items := list (dict "key" .Values.trust.key "path" "ca.crt") -}}
{{- with .Values.trust.configMap }}{{ dict "configMap" (dict "name" . "items" $items) | toJson }}{{ end -}}
{{- with .Values.trust.secret }}{{ dict "secret" (dict "secretName" . "items" $items) | toJson }}{{ end -}}
{{- end }}

{{- /* Volumes and mounts of an Airflow container, as a YAML map with volumes and volumeMounts. */ -}}
{{- define "airdock.trustVolumes" -}}
{{- if include "airdock.hasTrust" . -}}
volumes:
  trust: {emptyDir: {sizeLimit: 10Mi}}
  trust-source: {{ include "airdock.trustSource" . }}
volumeMounts:
  trust: {mountPath: /opt/airdock-trust, readOnly: true}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- /* The variables that name the file: of OpenSSL, Go and httpx, requests, curl, git, boto, gRPC, Node.js. */ -}}
{{- define "airdock.trustVariables" -}}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "CURL_CA_BUNDLE" "GIT_SSL_CAINFO" "AWS_CA_BUNDLE" "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" "NODE_EXTRA_CA_CERTS" }}
{{ . }}: /opt/airdock-trust/ca-certificates.crt
{{- end }}
{{- end }}

{{- /* The same for an Airflow container. */ -}}
{{- define "airdock.trustEnv" -}}
{{- if include "airdock.hasTrust" . }}{{ include "airdock.trustVariables" . }}{{ end }}
{{- end }}

{{- /* trust.tasks for the programs that write task pods, as JSON; {} if it is off. Their variables are in airdock.taskEnv. */ -}}
{{- define "airdock.trustOfTasks" -}}
{{- with .Values.trust.tasks }}{{ .configMap | empty | ternary dict (pick . "configMap" "key") | toJson }}{{ else }}{}{{ end -}}
{{- end }}

{{- /* "true" if containers of a Docker daemon get the file. */ -}}
{{- define "airdock.trustsInContainers" -}}
{{- if and (include "airdock.hasTrust" .) (eq true .Values.trust.containers) }}true{{ end -}}
{{- end }}

{{- /* The directory of the file in a worker's pod, as its node sees it. Call with the group; $(AIRDOCK_POD_UID) is the caller's. */ -}}
{{- define "airdock.trustOnNode" -}}
{{ .socket.kubeletRootDir }}/pods/$(AIRDOCK_POD_UID)/volumes/kubernetes.io~empty-dir/trust
{{- end }}

{{- /*
The variables of a worker by which the cluster policy gives the file to containers of DockerOperator, as a YAML map. Call with
(dict "root" $ "directory" $path): the path as the daemon sees it.
*/ -}}
{{- define "airdock.trustPolicyEnv" -}}
{{- if include "airdock.trustsInContainers" .root }}
AIRDOCK_TRUST_DIRECTORY: {{ .directory }}
AIRDOCK_TRUST_ENV: {{ include "airdock.trustVariables" .root | fromYaml | toJson | quote }}
{{- end }}
{{- end }}

{{- /* The init containers that write the file, as a YAML list. */ -}}
{{- define "airdock.trustContainers" -}}
{{- if include "airdock.hasTrust" . -}}
- name: trust
  image: airflow
  command: [python, -SE, /opt/airdock/trust.py, /run/airdock-trust-source/ca.crt, /opt/airdock-trust/ca-certificates.crt]
  volumeMounts:
    scripts: {mountPath: /opt/airdock, readOnly: true}
    tmp: {mountPath: /tmp}
    trust: {mountPath: /opt/airdock-trust}
    trust-source: {mountPath: /run/airdock-trust-source, readOnly: true}
{{- else -}}
[]
{{- end -}}
{{- end }}

{{- /* The part of a Docker daemon, with volumes, volumeMounts and env: Go reads every file of a directory, beside the image's certificates. */ -}}
{{- define "airdock.trustOfDaemon" -}}
{{- if include "airdock.hasTrust" . -}}
env:
  SSL_CERT_DIR: /run/airdock-trust
volumes:
  docker-trust: {{ include "airdock.trustSource" . }}
volumeMounts:
  docker-trust: {mountPath: /run/airdock-trust, readOnly: true}
  {{- if include "airdock.trustsInContainers" . }}
  # At the worker's path, so that both name the same file in a bind mount.
  trust: {mountPath: /opt/airdock-trust, readOnly: true}
  {{- end }}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- define "airdock.problems.trust" -}}
{{- $problems := list -}}
{{- if and .Values.trust.configMap .Values.trust.secret -}}
{{- $problems = append $problems "trust.secret: trust.configMap is set, too. Remove one of them." -}}
{{- end -}}
{{- if and (eq true .Values.trust.containers) (not (include "airdock.hasTrust" .)) -}}
{{- $problems = append $problems "trust.containers: there are no certificates to give. Set trust.configMap or trust.secret, or set trust.containers: false." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
