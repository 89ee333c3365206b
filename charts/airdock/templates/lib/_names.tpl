{{- /* Names and labels. Suffixes have up to 27 characters, so a stem of more than 32 is truncated and gets a hash. */ -}}

{{- define "airdock.fullname" -}}
{{- $stem := .Values.fullnameOverride | default (include "airdock.stem" .) -}}
{{- if gt (len $stem) 32 -}}
{{- printf "%s-%s" (trunc 23 $stem | trimSuffix "-") (sha256sum $stem | trunc 8) -}}
{{- else -}}
{{- $stem -}}
{{- end -}}
{{- end }}

{{- define "airdock.stem" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- contains $chart .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $chart) -}}
{{- end }}

{{- /* A string as the value of a label: truncated, with a hash, if it is too long. */ -}}
{{- define "airdock.labelValue" -}}
{{- gt (len .) 63 | ternary (printf "%s-%s" (trunc 54 . | trimAll "-._") (sha256sum . | trunc 8)) . -}}
{{- end }}

{{- /*
The value of the label airdock.dev/release: <namespace>.<release>. Network policies admit workers in namespaces with this label, also while
they drain after their group has left the namespace.
*/ -}}
{{- define "airdock.releaseLabel" -}}
{{- printf "%s.%s" .Release.Namespace .Release.Name | include "airdock.labelValue" -}}
{{- end }}

{{- /* The host name of a Service of the release, for pods in a namespace. Call with (dict "root" $ "namespace" $namespace "name" "redis"). */ -}}
{{- define "airdock.serviceHost" -}}
{{- $name := printf "%s-%s" (include "airdock.fullname" .root) .name -}}
{{- eq .namespace .root.Release.Namespace | ternary $name (printf "%s.%s.svc" $name .root.Release.Namespace) -}}
{{- end }}

{{- /* Labels that select a component's pods. Call with (dict "root" $ "component" "scheduler"). */ -}}
{{- define "airdock.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{- /* Labels of an object; "labels" has its additional ones. Pods do not get those with the chart's version: a new chart version restarts nothing. */ -}}
{{- define "airdock.labels" -}}
{{ include "airdock.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
app.kubernetes.io/version: {{ include "airdock.labelValue" .root.Values.images.airflow.tag | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- with include "airdock.overlay" (list .root.Values.commonLabels .labels) | fromJson }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The metadata of an object. Call with (dict "root" $ "component" "scheduler" "name" "scheduler"). */ -}}
{{- define "airdock.metadata" -}}
name: {{ include "airdock.fullname" .root }}-{{ .name | default .component }}
namespace: {{ .namespace | default .root.Release.Namespace | quote }}
labels:
  {{- include "airdock.labels" . | nindent 2 }}
{{- end }}

{{- /*
repository:tag, or repository@digest. images.registry, or a parent chart's global.imageRegistry, replaces the registry in it. Call with
(dict "root" $ "image" .Values.images.airflow).
*/ -}}
{{- define "airdock.image" -}}
{{- $global := .root.Values.global | default dict -}}
{{- $repository := .image.repository -}}
{{- with .root.Values.images.registry | default $global.imageRegistry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "") -}}
{{- end -}}
{{- .image.digest | empty | ternary (printf "%s:%s" $repository .image.tag) (printf "%s@%s" $repository .image.digest) -}}
{{- end }}

{{- /* Names of image pull Secrets, as a JSON list: those of the values and of a parent chart, each a name or {name: ...}. */ -}}
{{- define "airdock.pullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.imagePullSecrets ((.Values.global | default dict).imagePullSecrets | default list) -}}
{{- $names = append $names (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") .) -}}
{{- end -}}
{{- uniq $names | toJson -}}
{{- end }}
