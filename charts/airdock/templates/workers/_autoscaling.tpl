{{- /* Worker groups whose number of pods KEDA sets: workers.<name>.autoscaling. */ -}}

{{- /* These groups, in the format of airdock.workers. */ -}}
{{- define "airdock.autoscaledGroups" -}}
{{- $groups := dict -}}
{{- if .Values.controlPlane.enabled -}}
{{- range $name, $group := include "airdock.workersOf" (dict "root" . "podPerTask" false) | fromJson -}}
{{- if eq true $group.autoscaling.enabled }}{{ $_ := set $groups $name $group }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end }}

{{- /* "true" if there are any. */ -}}
{{- define "airdock.autoscales" -}}
{{- if include "airdock.autoscaledGroups" . | fromJson }}true{{ end -}}
{{- end }}

{{- /* The namespaces of their pods, as a JSON list. */ -}}
{{- define "airdock.autoscaledNamespaces" -}}
{{- $namespaces := list -}}
{{- range include "airdock.autoscaledGroups" . | fromJson }}{{ $namespaces = append $namespaces (include "airdock.workerNamespace" (dict "root" $ "group" .)) }}{{ end -}}
{{- uniq $namespaces | sortAlpha | toJson -}}
{{- end }}

{{- /* What the autoscaler knows of them, as JSON. */ -}}
{{- define "airdock.autoscalerGroups" -}}
{{- $known := dict -}}
{{- range $name, $group := include "airdock.autoscaledGroups" . | fromJson -}}
{{- $scope := dict "root" $ "name" $name "group" $group -}}
{{- $ordered := eq "StatefulSet" (include "airdock.workerKind" $scope) -}}
{{- $_ := set $known $name (dict "queues" $group.queues "concurrency" (int $group.concurrency) "namespace" (include "airdock.workerNamespace" $scope) "ordered" $ordered) -}}
{{- end -}}
{{- toJson $known -}}
{{- end }}

{{- /* The kind of a group's workload. Call with (dict "root" $ "name" $name "group" $group). */ -}}
{{- define "airdock.workerKind" -}}
{{- (include (printf "airdock.mode.%s" .group.mode) . | fromYaml).kind | default "Deployment" -}}
{{- end }}

{{- define "airdock.problems.autoscaling" -}}
{{- $problems := list -}}
{{- $groups := include "airdock.workersOf" (dict "root" . "podPerTask" false) | fromJson -}}
{{- $scaled := list -}}
{{- range $name, $group := $groups -}}
{{- if eq true $group.autoscaling.enabled -}}
{{- $scaled = append $scaled $name -}}
{{- $own := printf "workers.%s.autoscaling" $name -}}
{{- if gt (int $group.autoscaling.min) (int $group.autoscaling.max) -}}
{{- $problems = append $problems (printf "%s.min: %d is larger than %s.max (%d). Set a smaller one." $own (int $group.autoscaling.min) $own (int $group.autoscaling.max)) -}}
{{- end -}}
{{- if not (kindIs "invalid" (get $.Values.workers $name).replicas) -}}
{{- $problems = append $problems (printf "workers.%s.replicas: has no effect with %s.enabled. Remove it, and set %s.min and %s.max." $name $own $own $own) -}}
{{- end -}}
{{- range $other, $theirs := $groups -}}
{{- range $queue := $group.queues -}}
{{- if and (ne $other $name) (has $queue ($theirs.queues | default list)) -}}
{{- $problems = append $problems (printf "%s.enabled: workers.%s serves the queue %q, too, so nobody knows whose tasks they are. Use another queue, or set it to false." $own $other $queue) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $.Values.controlPlane.enabled -}}
{{- range $component := include "airdock.airflowComponents" $ | fromJsonArray -}}
{{- $key := camelcase $component | untitle -}}
{{- $values := get $.Values.controlPlane $key -}}
{{- with include "airdock.horizontalAutoscaling" (dict "root" $ "component" $component) | fromJson -}}
{{- $at := printf "controlPlane.%s" $key -}}
{{- if gt (int .min) (int .max) -}}
{{- $problems = append $problems (printf "%s.autoscaling.min: %d is larger than %s.autoscaling.max (%d). Set a smaller one." $at (int .min) $at (int .max)) -}}
{{- end -}}
{{- if and (not ($values.resources.requests | default dict).cpu) (not ($values.resources.limits | default dict).cpu) -}}
{{- $problems = append $problems (printf "%s.resources.requests.cpu: is missing. %s.autoscaling measures the CPU use against it: set it." $at $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $scaled -}}
{{- if not $.Values.controlPlane.enabled -}}
{{- $problems = append $problems (printf "workers.%s.autoscaling.enabled: the number of tasks is in the database of another Airflow, because controlPlane.enabled is false. Set it to false." (first .)) -}}
{{- else -}}
{{- if and $.Values.networkPolicy.enabled (not $.Values.networkPolicy.kedaFrom) -}}
{{- $problems = append $problems "networkPolicy.kedaFrom: is empty, so the network policies keep KEDA from the number of tasks. Select its operator's pods, for example [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: keda}}}]." -}}
{{- end -}}
{{- if eq 0 (int (kindIs "invalid" $.Values.controlPlane.autoscaler.replicas | ternary 1 $.Values.controlPlane.autoscaler.replicas)) -}}
{{- $problems = append $problems (printf "controlPlane.autoscaler.replicas: is 0, but workers.%s.autoscaling.enabled needs the autoscaler. Set 1." (first .)) -}}
{{- end -}}
{{- if and (include "airdock.liveCluster" $) (not ($.Capabilities.APIVersions.Has "keda.sh/v1alpha1/ScaledObject")) -}}
{{- $problems = append $problems (printf "workers.%s.autoscaling.enabled: KEDA is not installed in this cluster, which has no ScaledObjects (keda.sh/v1alpha1). Install KEDA first, or set it to false." (first .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
