{{- define "airdock.mode.dind.problems" -}}
{{- $dind := .group.dind -}}
{{- $key := printf "workers.%s.dind" .name -}}
{{- $problems := list -}}
{{- $kubernetes := .root.Capabilities.KubeVersion.Version -}}
{{- if and (eq $dind.variant "userNamespace") (semverCompare "<1.33-0" $kubernetes) -}}
{{- $problems = append $problems (printf "%s.variant: userNamespace needs Kubernetes 1.33 or later, but this cluster has %s. Choose another variant." $key $kubernetes) -}}
{{- end -}}
{{- if and $dind.claim.size .group.executorFacts.podPerTask -}}
{{- $problems = append $problems (printf "%s.claim: needs a persistent worker, which %s does not have. Set %s.dataVolume instead, or choose another executor for the group." $key .group.executor $key) -}}
{{- end -}}
{{- if and $dind.claim.size $dind.dataVolume -}}
{{- $problems = append $problems (printf "%s.claim: %s.dataVolume is set, too, but a daemon has one volume. Remove one of them." $key $key) -}}
{{- end -}}
{{- range $kind, $_ := $dind.dataVolume | default dict -}}
{{- if not (has $kind (list "emptyDir" "ephemeral" "csi")) -}}
{{- $problems = append $problems (printf "%s.dataVolume.%s: during every update two daemons would use the same directory, which destroys it. Set %s.claim.size for a claim per worker, or %s.dataVolume with the source ephemeral." $key $kind $key $key) -}}
{{- end -}}
{{- end -}}
{{- if ge (int $dind.prune.lowThresholdPercent) (int $dind.prune.highThresholdPercent) -}}
{{- $problems = append $problems (printf "%s.prune.lowThresholdPercent: %d is not lower than %s.prune.highThresholdPercent (%d). Set a lower one." $key (int $dind.prune.lowThresholdPercent) $key (int $dind.prune.highThresholdPercent)) -}}
{{- end -}}
{{- $network := $dind.network -}}
{{- $ranges := dict -}}
{{- with $network.bip }}{{ $_ := set $ranges . "bip" }}{{ end -}}
{{- range $network.defaultAddressPools -}}
{{- $_ := set $ranges .base "defaultAddressPools" -}}
{{- if lt (int .size) (splitList "/" .base | last | int) -}}
{{- $problems = append $problems (printf "%s.network.defaultAddressPools: a network of size /%d does not fit into %s. Set a larger size." $key (int .size) .base) -}}
{{- end -}}
{{- end -}}
{{- if not $network.defaultAddressPools -}}
{{- range list "172.17.0.0/16" "172.18.0.0/15" "172.20.0.0/14" "172.24.0.0/13" "192.168.0.0/16" -}}
{{- $_ := set $ranges . "defaultAddressPools (Docker's default)" -}}
{{- end -}}
{{- end -}}
{{- range $range, $what := $ranges -}}
{{- range $network.clusterCIDRs -}}
{{- $ours := include "airdock.addresses" $range | fromJson -}}
{{- $theirs := include "airdock.addresses" . | fromJson -}}
{{- if and (lt $ours.first $theirs.end) (lt $theirs.first $ours.end) -}}
{{- $problems = append $problems (printf "%s.network.%s: %s overlaps %s of %s.network.clusterCIDRs, so tasks could not reach these addresses. Use another range." $key $what $range . $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- concat $problems (include "airdock.dindDaemonProblems" . | fromJsonArray) (include "airdock.dindVolumeProblems" . | fromJsonArray) (include "airdock.dindClientProblems" . | fromJsonArray) | toJson -}}
{{- end }}

{{- /* The first address of an IPv4 range and the first one after it, as numbers in JSON. */ -}}
{{- define "airdock.addresses" -}}
{{- $parts := splitList "/" . -}}
{{- $number := 0 -}}
{{- range first $parts | splitList "." }}{{ $number = add (mul $number 256) (int .) }}{{ end -}}
{{- $size := 1 -}}
{{- range until (sub 32 (last $parts | int) | int) }}{{ $size = mul $size 2 }}{{ end -}}
{{- $first := mul $size (div $number $size) -}}
{{- dict "first" $first "end" (add $first $size) | toJson -}}
{{- end }}
