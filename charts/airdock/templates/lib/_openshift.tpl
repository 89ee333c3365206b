{{- /*
OpenShift. Its admission plugin gives every pod a SecurityContextConstraints (SCC). By default that is restricted-v2: the namespace's range of uids,
and no other one. https://docs.redhat.com/en/documentation/openshift_container_platform/latest/html/authentication_and_authorization/managing-pod-security-policies
*/ -}}

{{- /* "true" on OpenShift. */ -}}
{{- define "airdock.openshift" -}}
{{- $found := .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
{{- if or (eq (toString .Values.openshift) "true") (and (eq (toString .Values.openshift) "auto") $found) }}true{{ end -}}
{{- end }}

{{- /* "true" if the cluster assigns uid and groups of a workload's pods. Call with (dict "root" $ "values" $values). */ -}}
{{- define "airdock.assignsUsers" -}}
{{- if and (include "airdock.openshift" .root) (not .values.securityContextConstraints) }}true{{ end -}}
{{- end }}

{{- /* The SCC that a worker group asks for, as pod annotations. Call with (dict "root" $ "group" $group). */ -}}
{{- define "airdock.requiredConstraints" -}}
{{- if and (include "airdock.openshift" .root) .group.securityContextConstraints -}}
openshift.io/required-scc: {{ .group.securityContextConstraints | quote }}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- /*
The annotations that the admission plugin writes to every pod, as a JSON list; empty elsewhere. Kubernetes ignores the last one since 1.27. Call
with the root.
*/ -}}
{{- define "airdock.assignedAnnotations" -}}
{{- $assigned := list "openshift.io/scc" "security.openshift.io/validated-scc-subject-type" "seccomp.security.alpha.kubernetes.io/pod" -}}
{{- include "airdock.openshift" . | empty | ternary list $assigned | toJson -}}
{{- end }}

{{- /* OpenShift would adapt a namespace's Pod Security labels to the SCCs that accounts there may use. Call with the root. */ -}}
{{- define "airdock.keepPodSecurityLabels" -}}
{{- if include "airdock.openshift" . -}}
security.openshift.io/scc.podSecurityLabelSync: "false"
{{- end -}}
{{- end }}

{{- /*
A CEL test whether a name is that of the pull secret for OpenShift's registry, which each service account has and pods get; empty elsewhere. Call
with (dict "root" $ "name" $cel "account" $cel).
*/ -}}
{{- define "airdock.celRegistrySecret" -}}
{{- if include "airdock.openshift" .root }} || {{ .name }}.startsWith({{ .account }} + "-dockercfg-"){{ end -}}
{{- end }}

{{- /*
The rules for pods of KubernetesExecutor (_executor_admission.tpl) about what the admission plugin sets where the template leaves it open: uid,
group and SELinux level of the namespace. It rejects every other one itself.
*/ -}}
{{- define "airdock.executorRulesOfOpenShift" -}}
{{- if include "airdock.openshift" . -}}
podSecurityContext: |
  [variables.spec.?securityContext.orValue(dyn({}))].map(c, [variables.ours.spec.?securityContext.orValue(dyn({}))].map(o, (
      c.filter(k, !(k in ["fsGroup", "seLinuxOptions"] && !(k in o)) && o[?k].orValue(dyn(null)) != c[k]) + o.filter(k, !(k in c))
    ).map(k, "spec.securityContext." + k).join(",")).join(",")).join(",").split(",").filter(f, f != "")
{{- end -}}
{{- end }}

{{- /* A CEL test whether the plugin may have set the field `k` of the container `c`, which the template's `o` leaves open; empty elsewhere. */ -}}
{{- define "airdock.celAssignedField" -}}
{{- if include "airdock.openshift" . }} && !(k == "runAsUser" && !(k in o.?securityContext.orValue(dyn({})))){{ end -}}
{{- end }}
