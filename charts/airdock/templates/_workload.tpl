{{- /*
The one builder of workloads. A component is a map, written as YAML by its own file:

  name              suffix of the object's name; the component label unless `component` is given
  component         the component label
  namespace         the release's unless given
  kind              Deployment (default) or StatefulSet
  strategy          a Deployment's strategy
  podManagementPolicy  a StatefulSet's
  labels            further labels of object, selector and pod
  annotations       annotations of the workload
  podAnnotations    annotations of the pod: checksums of what it reads
  values            the user's block for it: replicas, resources, env, placement, ... (see the schema's "pod")
  token             true mounts the service account's token into the main container
  supplementalGroups, terminationGracePeriodSeconds, runAsUser, hostUsers, runtimeClassName, restartPolicy
  container         the main container; initContainers: a list, sidecars among them with restartPolicy Always
  volumes           map of name to volume source
  claims            map of name to {size, storageClassName}, a StatefulSet's

A container is a map: name, image (a key of .Values.images), command, args, env (map of name to string or {valueFrom}), envFrom, ports (map),
startupProbe, readinessProbe, livenessProbe, lifecycle, resources, securityContext, volumeMounts (map; the key is the volume's name
unless `name` is given).
*/ -}}
{{- define "airdock.workload" -}}
{{- $root := .root -}}
{{- $c := .component -}}
{{- if hasKey $c "Error" }}{{ fail $c.Error }}{{ end -}}
{{- $values := $c.values -}}
{{- $scope := dict "root" $root "component" ($c.component | default $c.name) "name" $c.name "namespace" $c.namespace -}}
{{- include "airdock.serviceAccount" (merge (dict "values" $values) $scope) }}
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
  replicas: {{ $values.replicas }}
  {{- if eq ($c.kind | default "Deployment") "StatefulSet" }}
  serviceName: {{ include "airdock.fullname" $root }}-{{ $c.name }}
  {{- with $c.podManagementPolicy }}
  podManagementPolicy: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $c.strategy }}
  strategy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "airdock.selectorLabels" $scope | nindent 6 }}
      {{- with $c.labels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
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

{{- define "airdock.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "airdock.metadata" . | nindent 2 }}
  {{- with (.values.serviceAccount | default dict).annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
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

{{- define "airdock.pod" -}}
{{- $root := .root -}}
{{- $c := .component -}}
{{- $values := $c.values -}}
{{- $volumes := include "airdock.overlay" (list $c.volumes $values.volumes) | fromJson -}}
{{- include "airdock.checkMounts" (dict "component" $c "volumes" $volumes) -}}
metadata:
  labels:
    {{- include "airdock.selectorLabels" .scope | nindent 4 }}
    {{- with include "airdock.overlay" (list $root.Values.commonLabels $values.podLabels $c.labels) | fromJson }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "airdock.overlay" (list $values.podAnnotations $c.podAnnotations) | fromJson }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $c.restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  serviceAccountName: {{ include "airdock.fullname" $root }}-{{ $c.name }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ $c.runAsUser | default 50000 }}
    runAsGroup: {{ $c.runAsGroup | default 0 }}
    fsGroup: {{ $c.runAsGroup | default 0 }}
    fsGroupChangePolicy: OnRootMismatch
    {{- with $c.supplementalGroups }}
    supplementalGroups: {{ toJson . }}
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | default $c.terminationGracePeriodSeconds | default 30 }}
  {{- if hasKey $c "hostUsers" }}
  hostUsers: {{ $c.hostUsers }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" }}
  {{- with get $values $key | default (get $c $key) }}
  {{ $key }}: {{ toJson . }}
  {{- end }}
  {{- end }}
  {{- with $c.initContainers }}
  initContainers:
    {{- range . }}
    - {{- include "airdock.container" (dict "root" $root "container" . "resources" $values.resources) | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - {{- include "airdock.container" (dict "root" $root "container" $c.container "resources" $values.resources "values" $values "token" $c.token) | nindent 6 }}
  {{- if or $volumes $c.token }}
  volumes:
    {{- range $name, $source := $volumes }}
    - name: {{ $name | quote }}
      {{- toYaml $source | nindent 6 }}
    {{- end }}
    {{- if $c.token }}
    - name: token
      {{- include "airdock.tokenVolume" . | nindent 6 }}
    {{- end }}
  {{- end }}
{{- end }}

{{- /* Fails where the API server would refuse the main container's mounts. Call with (dict "component" $c "volumes" $volumes). */ -}}
{{- define "airdock.checkMounts" -}}
{{- $c := .component -}}
{{- $there := concat (keys .volumes) (keys ($c.claims | default dict)) (ternary (list "token") list (eq true $c.token)) -}}
{{- $problems := list -}}
{{- $taken := dict -}}
{{- range $key, $mount := include "airdock.overlay" (list $c.container.volumeMounts $c.values.volumeMounts) | fromJson -}}
{{- $path := trimSuffix "/" ($mount.mountPath | default "") -}}
{{- if not (has ($mount.name | default $key) $there) -}}
{{- $problems = append $problems (printf "volumeMounts.%s of %s: there is no volume %q. Add it under volumes, or name one of: %s." $key $c.name ($mount.name | default $key) (join ", " (sortAlpha $there))) -}}
{{- end -}}
{{- if not $mount.mountPath -}}
{{- $problems = append $problems (printf "volumeMounts.%s of %s: has no mountPath." $key $c.name) -}}
{{- else if hasKey $taken $path -}}
{{- $problems = append $problems (printf "volumeMounts.%s of %s: %s is mounted already (by %s). Use another mountPath." $key $c.name $path (get $taken $path)) -}}
{{- end -}}
{{- $_ := set $taken $path $key -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nairdock: %d problem(s) in the values:\n  - %s\n" (len $problems) (join "\n  - " $problems)) -}}
{{- end -}}
{{- end }}

{{- /* What the kubelet would mount for automountServiceAccountToken: a volume of our own, so that only one container gets it. */ -}}
{{- define "airdock.tokenVolume" -}}
projected:
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3607}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}

{{- define "airdock.container" -}}
{{- $c := .container -}}
{{- $values := .values | default dict -}}
{{- $image := get .root.Values.images $c.image -}}
name: {{ $c.name }}
image: {{ include "airdock.image" $image | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- range $key := list "restartPolicy" "command" "args" }}
{{- with get $c $key }}
{{ $key }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- with $c.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "airdock.overlay" (list $c.env $values.env) | fromJson }}
env:
  {{- /* In the order of their names: $(NAME) reaches the names before it. */}}
  {{- range $name, $value := . }}
  - name: {{ $name | quote }}
    {{- if kindIs "map" $value }}
    {{- toYaml $value | nindent 4 }}
    {{- else }}
    value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with $c.ports }}
ports:
  {{- range $name, $port := . }}
  - {name: {{ $name }}, containerPort: {{ $port }}}
  {{- end }}
{{- end }}
{{- range $key := list "startupProbe" "readinessProbe" "livenessProbe" "lifecycle" }}
{{- with get $c $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
resources:
  {{- include "airdock.merge" (dict "base" dict "over" ($c.resources | default .resources)) | fromJson | toYaml | nindent 2 }}
securityContext:
  {{- $restricted := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) }}
  {{- toYaml ($c.securityContext | default $restricted) | nindent 2 }}
{{- if or $values.volumeMounts $c.volumeMounts .token }}
volumeMounts:
  {{- range $key, $mount := include "airdock.overlay" (list $c.volumeMounts $values.volumeMounts) | fromJson }}
  - {{- toYaml (include "airdock.overlay" (list (dict "name" $key) $mount) | fromJson) | nindent 4 }}
  {{- end }}
  {{- if .token }}
  - {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
  {{- end }}
{{- end }}
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
