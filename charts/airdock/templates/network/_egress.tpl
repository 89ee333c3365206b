{{- /* What pods can reach outside the release. */ -}}

{{- /*
Any address of an IP family except the metadata addresses, as a JSON list of peers. In some network plugins an ipBlock matches no pods, in
Cilium no nodes either.
*/ -}}
{{- define "airdock.anyAddress" -}}
{{- $except := dict "0.0.0.0/0" list "::/0" list -}}
{{- range .Values.networkPolicy.metadataAddresses -}}
{{- $any := contains ":" . | ternary "::/0" "0.0.0.0/0" -}}
{{- $_ := set $except $any (append (get $except $any) .) -}}
{{- end -}}
{{- $peers := list -}}
{{- range $cidr, $holes := $except -}}
{{- $peers = append $peers (dict "ipBlock" (merge (dict "cidr" $cidr) (empty $holes | ternary dict (dict "except" $holes)))) -}}
{{- end -}}
{{- toJson $peers -}}
{{- end }}

{{- /* Egress rules by what they reach, as a YAML map of name to list of rules. A rule without a peer would reach everything. */ -}}
{{- define "airdock.egressRules" -}}
{{- $any := include "airdock.anyAddress" . | fromJsonArray -}}
{{- with .Values.networkPolicy.dns }}
dns:
  - to: {{ toJson . }}
    # OpenShift's DNS pods listen on 5353.
    ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}, {port: 5353, protocol: UDP}, {port: 5353, protocol: TCP}]
{{- else }}
dns: []
{{- end }}
apiServer:
  - ports: [{port: 443}, {port: 6443}]
    {{- with .Values.networkPolicy.apiServerCIDR }}
    to: [{ipBlock: {cidr: {{ . | quote }}}}]
    {{- else }}
    to: {{ toJson $any }}
    {{- end }}
{{- /* Without the pods of Airdock releases. Their ingress rules deny these connections, too: in many network plugins an ipBlock matches pods. */}}
{{- $others := dict "matchExpressions" (list (dict "key" "app.kubernetes.io/name" "operator" "NotIn" "values" (list (.Values.nameOverride | default .Chart.Name)))) }}
foreign:
  - to: {{ prepend $any (dict "namespaceSelector" dict "podSelector" $others) | toJson }}
{{- $world := list }}
{{- if eq .Values.networkPolicy.egress "open" }}
{{- $world = list (dict "to" (prepend $any (dict "namespaceSelector" dict))) }}
{{- end }}
{{- /* concat gives null for two empty lists. */}}
world: {{ concat $world .Values.networkPolicy.egressRules | default list | toJson }}
{{- end }}

{{- /* "true" if the release has CiliumNetworkPolicies. */ -}}
{{- define "airdock.cilium" -}}
{{- $found := .Capabilities.APIVersions.Has "cilium.io/v2/CiliumNetworkPolicy" -}}
{{- if and .Values.networkPolicy.enabled (or (eq .Values.networkPolicy.cilium "always") (and (eq .Values.networkPolicy.cilium "auto") $found)) }}true{{ end -}}
{{- end }}
