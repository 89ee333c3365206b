{{- /*
Other clusters, in which the Kubernetes operators create pods: tasks.clusters. Each is a connection that names a kubeconfig, which the workers
and the triggerer mount.
*/ -}}

{{- /* The clusters of a worker group that runs Kubernetes operators, as a JSON map of name to values. Call with the group. */ -}}
{{- define "airdock.clustersOfGroup" -}}
{{- $clusters := dict -}}
{{- if include "airdock.serves" (dict "group" . "what" "kubernetes") -}}
{{- range $name, $cluster := .tasks.clusters }}{{ if $cluster }}{{ $_ := set $clusters $name $cluster }}{{ end }}{{ end -}}
{{- end -}}
{{- toJson $clusters -}}
{{- end }}

{{- /* The clusters in which the triggerer waits for pods, in the same format: those of groups with deferrable operators. Call with the root. */ -}}
{{- define "airdock.clustersOfTriggerer" -}}
{{- $clusters := dict -}}
{{- range include "airdock.workers" . | fromJson -}}
{{- if eq true .tasks.rbac.deferrable }}{{ $clusters = merge $clusters (include "airdock.clustersOfGroup" . | fromJson) }}{{ end -}}
{{- end -}}
{{- toJson $clusters -}}
{{- end }}

{{- /* What the connection of a cluster has in place of kubernetes_default's, as JSON. Call with (dict "name" $name "cluster" $cluster). */ -}}
{{- define "airdock.clusterExtra" -}}
{{- $extra := dict "kube_config_path" (printf "/run/airdock-clusters/%s/kubeconfig" .name) -}}
{{- with .cluster.namespace }}{{ $_ := set $extra "namespace" . }}{{ end -}}
{{- toJson $extra -}}
{{- end }}

{{- /* The kubeconfigs in a pod, as a JSON map with volumes and volumeMounts. Call with the clusters. */ -}}
{{- define "airdock.clusterVolumes" -}}
{{- $sources := list -}}
{{- range $name, $cluster := . -}}
{{- $items := list (dict "key" ($cluster.key | default "kubeconfig") "path" (printf "%s/kubeconfig" $name)) -}}
{{- $sources = append $sources (dict "secret" (dict "name" $cluster.kubeconfigSecret "items" $items)) -}}
{{- end -}}
{{- $parts := dict -}}
{{- if $sources -}}
{{- $_ := set $parts "volumes" (dict "clusters" (dict "projected" (dict "defaultMode" 288 "sources" $sources))) -}}
{{- $_ := set $parts "volumeMounts" (dict "clusters" (dict "mountPath" "/run/airdock-clusters" "readOnly" true)) -}}
{{- end -}}
{{- toJson $parts -}}
{{- end }}

{{- /* Egress rules for the API servers of clusters, as a JSON list. Call with (dict "root" $ "clusters" $clusters). */ -}}
{{- define "airdock.clusterEgress" -}}
{{- $rules := list -}}
{{- range .clusters -}}
{{- $peers := include "airdock.anyAddress" $.root | fromJsonArray -}}
{{- with .apiServerCIDR }}{{ $peers = list (dict "ipBlock" (dict "cidr" .)) }}{{ end -}}
{{- $rules = append $rules (dict "to" $peers "ports" (list (dict "port" (.apiServerPort | default 6443 | int)))) -}}
{{- end -}}
{{- uniq $rules | toJson -}}
{{- end }}

{{- define "airdock.problems.clusters" -}}
{{- $problems := list -}}
{{- $owners := dict -}}
{{- $connections := list -}}
{{- range $id, $_ := .Values.airflow.connections }}{{ $connections = append $connections (lower $id) }}{{ end -}}
{{- range $group, $settings := include "airdock.workers" . | fromJson -}}
{{- range $name, $cluster := $settings.tasks.clusters -}}
{{- if $cluster -}}
{{- $key := printf "%s.clusters.%s" (empty (dig "tasks" "clusters" $name dict (get $.Values.workers $group)) | ternary "tasks" (printf "workers.%s.tasks" $group)) $name -}}
{{- if not (regexMatch "^[a-z][a-z0-9_]{0,29}$" $name) -}}
{{- $problems = append $problems (printf "%s: %q cannot be a part of a connection id here. Use at most 30 lowercase letters, digits and underscores." $key $name) -}}
{{- else if eq $name "default" -}}
{{- $problems = append $problems (printf "%s: kubernetes_default is the connection of the release's own cluster. Use another name." $key) -}}
{{- else if has (printf "kubernetes_%s" $name) $connections -}}
{{- $problems = append $problems (printf "airflow.connections.kubernetes_%s: the chart defines this connection, for %s. Use another connection id." $name $key) -}}
{{- end -}}
{{- if not (include "airdock.serves" (dict "group" $settings "what" "kubernetes")) -}}
{{- if ne $key (printf "tasks.clusters.%s" $name) -}}
{{- $problems = append $problems (printf "%s: has no effect, because workers.%s runs no Kubernetes operators. Remove it, or set mode: kubernetes and kubernetesOperators: true." $key $group) -}}
{{- end -}}
{{- else -}}
{{- $other := get $owners $name | default (dict "key" $key "cluster" $cluster) -}}
{{- if ne (toJson $other.cluster) (toJson $cluster) -}}
{{- $problems = append $problems (printf "%s: differs from %s, but the triggerer has one connection kubernetes_%s. Use the same settings, or another name." $key $other.key $name) -}}
{{- end -}}
{{- $_ := set $owners $name $other -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $cluster := .Values.tasks.clusters -}}
{{- if and $cluster (not (hasKey $owners $name)) -}}
{{- $problems = append $problems (printf "tasks.clusters.%s: has no effect, because no worker group runs Kubernetes operators. Remove it, or add a group with mode: kubernetes." $name) -}}
{{- end -}}
{{- end -}}
{{- uniq $problems | toJson -}}
{{- end }}
