{{- /*
Mode kubernetes: the worker, its Docker gateway, or both have a token with permissions in the task namespace only.
Call with (dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.mode.kubernetes" -}}
{{- $clusters := include "airdock.clustersOfGroup" .group | fromJson -}}
{{- $operators := eq true .group.kubernetesOperators | ternary (include "airdock.kubernetesConnectionEnv" (dict "root" .root "clusters" $clusters) | fromYaml) dict -}}
{{- $gateway := dict -}}
{{- if include "airdock.serves" (dict "group" .group "what" "clusterGateway") -}}
{{- $gateway = include "airdock.dockerGateway" . | fromYaml -}}
{{- end -}}
{{- $env := include "airdock.overlay" (list (include "airdock.groupTasksEnv" . | fromYaml) $operators $gateway.env) | fromJson -}}
{{- $kubeconfigs := include "airdock.clusterVolumes" $clusters | fromJson -}}
{{- range $part := list "volumes" "volumeMounts" -}}
{{- $_ := set $kubeconfigs $part (include "airdock.overlay" (list (get $gateway $part) (get $kubeconfigs $part)) | fromJson) -}}
{{- end -}}
{{- include "airdock.overlay" (list $gateway $kubeconfigs (dict "token" .group.kubernetesOperators "env" $env)) -}}
{{- end }}

{{- define "airdock.mode.kubernetes.facts" -}}
{{- $operators := eq true .group.kubernetesOperators -}}
{{- $gateway := eq true .group.dockerGateway.enabled -}}
serves: {{ concat (ternary (list "kubernetes") list $operators) (ternary (list "docker" "gateway" "clusterGateway") list $gateway) | toJson }}
podSecurity: restricted
apiServer: true
taskPods: true
{{- if $gateway }}
configMaps:
  {{- include "airdock.dockerGatewayConfigMaps" "cluster" | nindent 2 }}
{{- end }}
{{- end }}

{{- define "airdock.mode.kubernetes.problems" -}}
[]
{{- end }}

{{- define "airdock.mode.kubernetes.note" -}}
{{- end }}

{{- /*
The connections of the Kubernetes operators, as a YAML map: kubernetes_default, and one for each cluster of tasks.clusters. The first sets
in_cluster, because the triggerer's hook never tries that by default. All have the security context of the XCom sidecar, without which a
restricted namespace rejects the pod. Call with (dict "root" $ "clusters" $clusters).
*/ -}}
{{- define "airdock.kubernetesConnectionEnv" -}}
{{- if include "airdock.queuesServing" (dict "root" .root "what" "kubernetes") -}}
{{- $restricted := dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- $resources := dict "requests" (dict "cpu" "1m" "memory" "10Mi") "limits" (dict "cpu" "100m" "memory" "64Mi") -}}
{{- $extra := dict "namespace" "$(AIRDOCK_TASK_NAMESPACE)" "xcom_sidecar_container_image" "$(AIRDOCK_XCOM_SIDECAR_IMAGE)" "xcom_sidecar_container_security_context" (toJson $restricted) "xcom_sidecar_container_resources" (toJson $resources) -}}
{{- $connections := dict "default" (dict "in_cluster" true) -}}
{{- range $name, $cluster := .clusters }}{{ $_ := set $connections $name (include "airdock.clusterExtra" (dict "name" $name "cluster" $cluster) | fromJson) }}{{ end -}}
# $(NAME) is defined in airdock.envData.
{{- range $name, $own := $connections }}
AIRFLOW_CONN_KUBERNETES_{{ upper $name }}: {{ dict "conn_type" "kubernetes" "extra" (merge $own $extra) | toJson | quote }}
{{- end }}
{{- else -}}
{}
{{- end -}}
{{- end }}
