{{- /* "true" if Helm talks to a cluster, whose kinds it then knows: `helm template` lacks a group that every API server has. Call with the root. */ -}}
{{- define "airdock.liveCluster" -}}
{{- if .Capabilities.APIVersions.Has "apiregistration.k8s.io/v1" }}true{{ end -}}
{{- end }}
