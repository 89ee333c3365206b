{{- /* Problems with what leads to the api-server from outside the cluster. It returns a JSON list of messages. */ -}}
{{- define "airdock.problems.exposure" -}}
{{- $problems := list -}}
{{- $ingress := .Values.ingress -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- $problems = append $problems "ingress.host: is missing. Set it to the DNS name of Airflow's UI, or set ingress.enabled: false." -}}
{{- end -}}
{{- if and .Values.ingress.enabled .Values.ingress.host -}}
{{- $path := trimSuffix "/" .Values.ingress.path -}}
{{- if not (.Values.airflow.config.api | default dict).base_url -}}
{{- if hasPrefix "*" .Values.ingress.host -}}
{{- $problems = append $problems "ingress.host: is a wildcard, so the URL of the UI is not known. Set it in airflow.config.api.base_url." -}}
{{- end -}}
{{- else if not (hasPrefix (printf "%s/" $path) (printf "%s/" (include "airdock.basePath" .))) -}}
{{- $problems = append $problems (printf "ingress.path: %s does not include the path of airflow.config.api.base_url (%s), which Airflow serves. Use the same path in both." .Values.ingress.path (include "airdock.basePath" . | default "/")) -}}
{{- end -}}
{{- end -}}
{{- if hasKey $ingress.hosts $ingress.host -}}
{{- $problems = append $problems (printf "ingress.hosts: contains %s, which is ingress.host. Remove it there, and set ingress.tlsSecretName to its Secret." $ingress.host) -}}
{{- end -}}
{{- $route := .Values.httpRoute -}}
{{- $configured := (.Values.airflow.config.api | default dict).base_url -}}
{{- if $route.enabled -}}
{{- if not $route.parentRefs -}}
{{- $problems = append $problems "httpRoute.parentRefs: is empty, so no Gateway would take the HTTPRoute. Name the Gateway, for example [{name: public, namespace: gateways}], or set httpRoute.enabled: false." -}}
{{- end -}}
{{- if not $route.hostnames -}}
{{- $problems = append $problems "httpRoute.hostnames: is empty. Set it to the DNS names of Airflow's UI, or set httpRoute.enabled: false." -}}
{{- else -}}
{{- if and (not $configured) (not $ingress.enabled) (hasPrefix "*" (first $route.hostnames)) -}}
{{- $problems = append $problems (printf "httpRoute.hostnames: %s, the first one, is a wildcard, so the URL of the UI is not known. Begin with another one, or set the URL in airflow.config.api.base_url." (first $route.hostnames)) -}}
{{- end -}}
{{- $path := include "airdock.basePath" . -}}
{{- if not (hasPrefix (print (trimSuffix "/" $route.path) "/") (print $path "/")) -}}
{{- $problems = append $problems (printf "httpRoute.path: %s does not include %s, which Airflow serves (%s). Use the same path in both." $route.path ($path | default "/") ($configured | empty | ternary "ingress.path" "airflow.config.api.base_url")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $service := .Values.controlPlane.apiServer.service -}}
{{- if and $service.nodePort (eq $service.type "ClusterIP") -}}
{{- $problems = append $problems "controlPlane.apiServer.service.nodePort: has no effect with type ClusterIP. Remove it, or set controlPlane.apiServer.service.type: NodePort." -}}
{{- end -}}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" -}}
{{- if and (get $service $key) (ne $service.type "LoadBalancer") -}}
{{- $problems = append $problems (printf "controlPlane.apiServer.service.%s: has no effect with type %s. Remove it, or set controlPlane.apiServer.service.type: LoadBalancer." $key $service.type) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
