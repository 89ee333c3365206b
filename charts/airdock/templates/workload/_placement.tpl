{{- /* What keeps pods where they are, and replicas apart. */ -}}

{{- /* Annotations with which cluster-autoscaler and Karpenter leave a pod's node alone, as JSON. Call with a block of values. */ -}}
{{- define "airdock.nodeAnnotations" -}}
{{- ne false .blockNodeScaleDown | ternary (dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "false" "karpenter.sh/do-not-disrupt" "true") dict | toJson -}}
{{- end }}

{{- /* "true" if a workload has several pods, or an unknown number of them. Call with its block of values. */ -}}
{{- define "airdock.replicated" -}}
{{- if or (kindIs "invalid" .replicas) (gt (int .replicas) 1) (.autoscaling | default dict).enabled }}true{{ end -}}
{{- end }}

{{- /* An affinity that spreads the pods of a selector over nodes where it can, as JSON. Call with the selector's labels. */ -}}
{{- define "airdock.spread" -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" .) -}}
{{- dict "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term))) | toJson -}}
{{- end }}
