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

{{- /* The variables of an Airflow container: OpenSSL and httpx, requests, curl, git, boto, gRPC. */ -}}
{{- define "airdock.trustEnv" -}}
{{- if include "airdock.hasTrust" . }}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "CURL_CA_BUNDLE" "GIT_SSL_CAINFO" "AWS_CA_BUNDLE" "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" }}
{{ . }}: /opt/airdock-trust/ca-certificates.crt
{{- end }}
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
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- define "airdock.problems.trust" -}}
{{- $problems := list -}}
{{- if and .Values.trust.configMap .Values.trust.secret -}}
{{- $problems = append $problems "trust.secret: trust.configMap is set, too. Remove one of them." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
