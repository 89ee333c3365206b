{{- /*
The rules of the admission policy of a task namespace; call them with (dict "root" $ "tasks" $tasks). Each is a CEL expression that returns a
list of strings: what is wrong with the pod, and the value that allows it. An empty list passes. So one refusal lists everything that the
author has to change.

The expressions use only what Kubernetes 1.30 supports (CEL's optionals, no sets, no flatten): lists of lists are flattened by join and split,
because no name contains a comma. Fields that 1.30 does not know are read through dyn().
*/ -}}

{{- /* The rules for what a pod is made of: applied to a new pod, and to one whose spec changes. */ -}}
{{- define "airdock.fenceRules" -}}
{{- $a := .tasks.admission -}}
{{- /* What DockerOperator may use by other values, task pods may have. */ -}}
{{- $pullSecrets := concat (.tasks.imagePullSecrets | default list) ($a.imagePullSecrets | default list) -}}
{{- range .tasks.registries }}{{ $pullSecrets = append $pullSecrets .pullSecret }}{{ end -}}
{{- $claims := concat ($a.persistentVolumeClaims | default list) (include "airdock.valuesClaims" . | fromJsonArray) -}}
{{- $configMaps := compact (append (concat (list "kube-root-ca.crt" "openshift-service-ca.crt") ($a.configMaps | default list)) (include "airdock.trustOfTasks" .root | fromJson).configMap) -}}
{{- $levels := get (dict "restricted" (list "restricted") "baseline" (list "baseline" "restricted")) .tasks.podSecurity.level -}}
{{- if $levels }}
podSecurity: |
  namespaceObject.metadata.?labels[?"pod-security.kubernetes.io/enforce"].orValue("") in {{ toJson $levels }} ? [] :
    ["namespace " + namespaceObject.metadata.name + " does not enforce Pod Security {{ .tasks.podSecurity.level }}: label it pod-security.kubernetes.io/enforce={{ .tasks.podSecurity.level }}, or set tasks.podSecurity.level"]
{{- end }}
serviceAccount: |
  [object.spec.?serviceAccountName.orValue("")]
    .filter(n, n != variables.account && !({{ include "airdock.celAllowed" (dict "name" "n" "list" $a.serviceAccounts) }}))
    .map(n, "service account '" + n + "' instead of " + variables.account + " (tasks.admission.serviceAccounts)")
token: |
  variables.volumes.filter(v, v.?projected.?sources.orValue([]).exists(s,
      !(has(s.secret) || has(s.configMap) || has(s.downwardAPI) || has(s.clusterTrustBundle)
        || has(s.serviceAccountToken)
          && {{ include "airdock.celAllowed" (dict "name" "s.serviceAccountToken.?audience.orValue(\"\")" "list" $a.tokenAudiences) }})))
    .map(v, "volume " + v.name + " with a token or certificate: set automount_service_account_token=False (tasks.admission.tokenAudiences)")
volumeTypes: |
  variables.volumes.filter(v, !(has(v.emptyDir) || has(v.downwardAPI) || has(v.configMap) || has(v.secret) || has(v.projected)
      || has(v.persistentVolumeClaim){{ range $a.volumeTypes }} || has(v.{{ . }}){{ end }}))
    .map(v, "volume " + v.name + " has a type that is not allowed (tasks.admission.volumeTypes)")
{{ include "airdock.fenceClaimRules" (dict "tasks" .tasks "claims" "variables.volumes.filter(v, has(v.ephemeral))" "claim" "v.?ephemeral.?volumeClaimTemplate") }}
claimLabels: |
  variables.volumes.map(v, v.?ephemeral.?volumeClaimTemplate.?metadata.?labels.orValue(dyn({})).map(k, k).join(",")).join(",").split(",")
    .filter(k, k.contains("/") && !({{ include "airdock.celKey" (dict "keys" $a.labels) }})).map(k, "label " + k + " of a claim (tasks.admission.labels)")
claimAnnotations: |
  variables.volumes.map(v, v.?ephemeral.?volumeClaimTemplate.?metadata.?annotations.orValue(dyn({})).map(k, k).join(",")).join(",").split(",")
    .filter(k, k.matches("[./]") && !({{ include "airdock.celKey" (dict "keys" $a.annotations) }})).map(k, "annotation " + k + " of a claim (tasks.admission.annotations)")
secrets: |
  variables.secretNames.filter(n, !({{ include "airdock.celAllowed" (dict "name" "n" "list" $a.secrets) }}))
    .map(n, "Secret " + n + " (tasks.admission.secrets)")
configMaps: |
  variables.configMapNames.filter(n, !({{ include "airdock.celAllowed" (dict "name" "n" "list" $configMaps) }}))
    .map(n, "ConfigMap " + n + " (tasks.admission.configMaps)")
persistentVolumeClaims: |
  variables.volumes.map(v, v.?persistentVolumeClaim.?claimName.orValue(""))
    .filter(n, n != "" && !({{ include "airdock.celAllowed" (dict "name" "n" "list" $claims) }}))
    .map(n, "claim " + n + " (tasks.admission.persistentVolumeClaims)")
imagePullSecrets: |
  object.spec.?imagePullSecrets.orValue([]).map(s, s.?name.orValue(""))
    .filter(n, n != "" && !({{ include "airdock.celAllowed" (dict "name" "n" "list" $pullSecrets) }}{{ include "airdock.celRegistrySecret" (dict "root" .root "name" "n" "account" "object.spec.?serviceAccountName.orValue(\"\")") }}))
    .map(n, "pull secret " + n + " (tasks.admission.imagePullSecrets)")
{{- if and (eq .tasks.podSecurity.level "restricted") (not (include "airdock.fenceUserNamespaces" .)) }}
hostUsers: |
  object.spec.?hostUsers.orValue(true) ? [] : ["hostUsers: false, with which containers may run as root (tasks.userNamespaces)"]
{{- end }}
windows: |
  object.spec.?os.?name.orValue("linux") != "linux" || object.spec.?securityContext.?windowsOptions.hasValue()
      || variables.containers.exists(c, c.?securityContext.?windowsOptions.hasValue()) ?
    ["os or windowsOptions: task pods run on Linux (no value allows this)"] : []
profiles: |
  ([dyn(object.spec)] + variables.containers).map(c, [
      c.?securityContext.?seccompProfile.?localhostProfile.orValue(""),
      c.?securityContext.?appArmorProfile.?localhostProfile.orValue("")
    ].join(",")).join(",").split(",")
    .filter(n, n != "" && !({{ include "airdock.celAllowed" (dict "name" "n" "list" $a.localhostProfiles) }}))
    .map(n, "security profile " + n + " of the node (tasks.admission.localhostProfiles)")
probeHosts: |
  variables.containers.filter(c,
      c.?livenessProbe.?httpGet.?host.orValue("") + c.?livenessProbe.?tcpSocket.?host.orValue("")
      + c.?readinessProbe.?httpGet.?host.orValue("") + c.?readinessProbe.?tcpSocket.?host.orValue("")
      + c.?startupProbe.?httpGet.?host.orValue("") + c.?startupProbe.?tcpSocket.?host.orValue("")
      + c.?lifecycle.?postStart.?httpGet.?host.orValue("") + c.?lifecycle.?postStart.?tcpSocket.?host.orValue("")
      + c.?lifecycle.?preStop.?httpGet.?host.orValue("") + c.?lifecycle.?preStop.?tcpSocket.?host.orValue("") != "")
    .map(c, "container " + c.name + " sets a host in a probe or lifecycle hook, so the node would connect to it: remove the host (no value allows this)")
ephemeralContainers: |
  object.spec.?ephemeralContainers.orValue([])
    .map(c, "ephemeral container " + c.name + " (tasks.admission.exemptUsers)")
{{- end }}
