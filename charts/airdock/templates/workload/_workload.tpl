{{- /*
Builds all workloads. A component is a map, written as YAML in its file:

  name              suffix of the object's name; also the component label if `component` is not set
  component         the component label
  namespace         default: the release namespace
  kind              Deployment (default) or StatefulSet
  strategy          a Deployment's strategy
  single            true: there is never more than one pod
  podManagementPolicy  a StatefulSet's
  labels            further labels of object, selector and pod
  annotations       annotations of the workload
  podAnnotations    annotations of the pod: checksums of what it reads
  values            the user's block for it: replicas, resources, env, placement, ... (see the schema's "pod")
  key               where that block is in the values, for messages
  token             true mounts the service account's token into the main container
  supplementalGroups, terminationGracePeriodSeconds, runAsUser, hostUsers, runtimeClassName, restartPolicy
  container         the main container; initContainers: a list, sidecars among them with restartPolicy Always
  volumes           map of name to volume source
  claims            map of name to {size, storageClassName}, a StatefulSet's

A container is a map: name, image (a key of .Values.images), command, args, env (map of name to string or {valueFrom}), envFrom, ports (map of
name to number or {containerPort, protocol}),
startupProbe, readinessProbe, livenessProbe, lifecycle, resources, securityContext, volumeMounts (map; the key is the volume's name
unless `name` is given).
*/ -}}
{{- define "airdock.workload" -}}
{{- $root := .root -}}
{{- $c := .component -}}
{{- if hasKey $c "Error" }}{{ fail $c.Error }}{{ end -}}
{{- $values := $c.values -}}
{{- $scope := dict "root" $root "component" ($c.component | default $c.name) "name" $c.name "namespace" $c.namespace -}}
{{- $selector := include "airdock.overlay" (list (include "airdock.selectorLabels" $scope | fromYaml) $c.labels) | fromJson -}}
{{- /* Whatever the number of replicas is now: another number must not restart them. */ -}}
{{- if not $c.single }}{{ $_ := set $c "affinity" (include "airdock.spread" $selector | fromJson) }}{{ end -}}
{{- include "airdock.serviceAccount" (merge (dict "values" $values) $scope) -}}
---
apiVersion: apps/v1
kind: {{ $c.kind | default "Deployment" }}
metadata:
  {{- include "airdock.metadata" $scope | nindent 2 }}
    {{- with $c.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $c.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if not (kindIs "invalid" $values.replicas) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  {{- if not (kindIs "invalid" $values.revisionHistoryLimit) }}
  revisionHistoryLimit: {{ $values.revisionHistoryLimit }}
  {{- end }}
  {{- if eq ($c.kind | default "Deployment") "StatefulSet" }}
  serviceName: {{ include "airdock.fullname" $root }}-{{ $c.name }}
  {{- with $c.podManagementPolicy }}
  podManagementPolicy: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $values.strategy | default $c.strategy }}
  strategy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    matchLabels:
      {{- toYaml $selector | nindent 6 }}
  template:
    {{- include "airdock.pod" (dict "root" $root "component" $c "scope" $scope) | nindent 4 }}
  {{- with $c.claims }}
  volumeClaimTemplates:
    {{- range $name, $claim := . }}
    - metadata:
        name: {{ $name }}
      spec:
        {{- include "airdock.claimSpec" (dict "claim" $claim "accessMode" "ReadWriteOnce") | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}

{{- /* The service account of a component's pods, unless the user names an existing one. */ -}}
{{- define "airdock.serviceAccount" -}}
{{- if not (.values.serviceAccount | default dict).name -}}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "airdock.metadata" . | nindent 2 }}
  {{- with (.values.serviceAccount | default dict).annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{ end -}}
{{- end }}

{{- /* The spec of a claim. Call with (dict "claim" {size, storageClassName} "accessMode" "ReadWriteOnce"). */ -}}
{{- define "airdock.claimSpec" -}}
accessModes: [{{ .accessMode }}]
{{- with .claim.storageClassName }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .claim.size }}
{{- end }}

{{- /* The Service that a StatefulSet names. Call with (dict "root" $ "component" "redis" "port" 6379). */ -}}
{{- define "airdock.headlessService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "airdock.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  selector:
    {{- include "airdock.selectorLabels" . | nindent 4 }}
  ports:
    - {name: {{ .component }}, port: {{ .port }}, targetPort: {{ .component }}}
{{- end }}
