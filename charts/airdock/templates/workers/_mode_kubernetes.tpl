{{- /*
Mode kubernetes: the worker, its Docker gateway, or both have a token with permissions in the task namespace only.
Call with (dict "root" $ "name" $name "group" $group).
*/ -}}
{{- define "airdock.mode.kubernetes" -}}
{{- $operators := eq true .group.kubernetesOperators | ternary (include "airdock.kubernetesConnectionEnv" .root | fromYaml) dict -}}
{{- $gateway := dict -}}
{{- if include "airdock.serves" (dict "group" .group "what" "clusterGateway") -}}
{{- $gateway = include "airdock.dockerGateway" . | fromYaml -}}
{{- end -}}
{{- $env := include "airdock.overlay" (list (include "airdock.groupTasksEnv" . | fromYaml) $operators $gateway.env) | fromJson -}}
{{- include "airdock.overlay" (list $gateway (dict "token" .group.kubernetesOperators "env" $env)) -}}
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
The connection of the Kubernetes operators. It sets in_cluster, because the triggerer's hook never tries that by default, and the security
context of the XCom sidecar, without which a restricted namespace rejects the pod.
*/ -}}
{{- define "airdock.kubernetesConnectionEnv" -}}
{{- if include "airdock.queuesServing" (dict "root" . "what" "kubernetes") -}}
{{- $restricted := dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- $resources := dict "requests" (dict "cpu" "1m" "memory" "10Mi") "limits" (dict "cpu" "100m" "memory" "64Mi") -}}
{{- $extra := dict "in_cluster" true "namespace" "$(AIRDOCK_TASK_NAMESPACE)" "xcom_sidecar_container_image" "$(AIRDOCK_XCOM_SIDECAR_IMAGE)" "xcom_sidecar_container_security_context" (toJson $restricted) "xcom_sidecar_container_resources" (toJson $resources) -}}
# $(NAME) is defined in airdock.envData.
AIRFLOW_CONN_KUBERNETES_DEFAULT: {{ dict "conn_type" "kubernetes" "extra" $extra | toJson | quote }}
{{- else -}}
{}
{{- end -}}
{{- end }}
