{{- /* dags.git and dags.storage: a JSON list of messages. */ -}}
{{- define "airdock.problems.git" -}}
{{- $problems := list -}}
{{- $repositories := include "airdock.gitRepositories" . | fromJson -}}
{{- $bundles := list -}}
{{- range .Values.dags.bundles }}{{ $bundles = append $bundles .name }}{{ end -}}
{{- $connections := list -}}
{{- range $id, $_ := .Values.airflow.connections }}{{ $connections = append $connections (lower $id) }}{{ end -}}
{{- range $name, $git := $repositories -}}
{{- $key := printf "dags.git.%s" $name -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$" $name) -}}
{{- $problems = append $problems (printf "%s: %q cannot be the name of a bundle here. Use at most 50 lowercase letters, digits and hyphens." $key $name) -}}
{{- end -}}
{{- if has $name $bundles -}}
{{- $problems = append $problems (printf "%s: dags.bundles has an entry of this name, too, and Airflow would not start. Rename one of them." $key) -}}
{{- end -}}
{{- $id := include "airdock.gitConnectionId" $name -}}
{{- if has $id $connections -}}
{{- $problems = append $problems (printf "airflow.connections.%s: the chart defines this connection, for %s. Use another connection id." $id $key) -}}
{{- end -}}
{{- if and (regexMatch "^https?://[^/]*@" $git.repository) -}}
{{- $problems = append $problems (printf "%s.repository: contains a user name or token. Put the token into a Secret, set %s.tokenSecret, and write the URL without it." $key $key) -}}
{{- else if not $git.url.scheme -}}
{{- $problems = append $problems (printf "%s.repository: %q is no URL that the chart knows. Write https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH." $key $git.repository) -}}
{{- else if eq $git.url.scheme "https" -}}
{{- range $only := list "sshKeySecret" "knownHosts" "acceptAnyHostKey" -}}
{{- if get $git $only -}}
{{- $problems = append $problems (printf "%s.%s: is for ssh, and %s.repository is an https URL. Remove it%s." $key $only $key (eq $only "sshKeySecret" | ternary (printf ", and set %s.tokenSecret if the repository is private" $key) "")) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- if $git.tokenSecret -}}
{{- $problems = append $problems (printf "%s.tokenSecret: is for https, and %s.repository is an ssh URL. Remove it, or write the repository as https://." $key $key) -}}
{{- end -}}
{{- if not $git.sshKeySecret -}}
{{- $problems = append $problems (printf "%s.sshKeySecret: is missing. Name a Secret that contains a deploy key for %s, or write the repository as https://." $key $git.url.host) -}}
{{- end -}}
{{- if and $git.knownHosts $git.acceptAnyHostKey -}}
{{- $problems = append $problems (printf "%s.acceptAnyHostKey: is true, so %s.knownHosts has no effect. Remove one of them." $key $key) -}}
{{- else if contains "PRIVATE KEY" $git.knownHosts -}}
{{- $problems = append $problems (printf "%s.knownHosts: is a private key. Put it into a Secret for %s.sshKeySecret, and write the host's public keys here." $key $key) -}}
{{- else if not (or $git.knownHosts $git.acceptAnyHostKey) -}}
{{- $problems = append $problems (printf "%s.knownHosts: is missing. Set it to the lines of known_hosts for %s; docs/git-dags.md says how to get and check them. %s.acceptAnyHostKey: true would accept any server." $key $git.url.known $key) -}}
{{- else if not (or $git.acceptAnyHostKey (contains $git.url.host $git.knownHosts) (regexMatch "\\|1\\||[*?]" $git.knownHosts)) -}}
{{- $problems = append $problems (printf "%s.knownHosts: has no line for %s, so no connection to it would succeed. Add one; docs/git-dags.md says how to get and check it." $key $git.url.known) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "^/|(^|/)\\.\\.(/|$)" $git.subdir -}}
{{- $problems = append $problems (printf "%s.subdir: %q is outside the repository. Write a path relative to its root, without .. in it." $key $git.subdir) -}}
{{- end -}}
{{- if hasPrefix "-" $git.ref -}}
{{- $problems = append $problems (printf "%s.ref: %q is no branch, tag or commit. Write its name." $key $git.ref) -}}
{{- end -}}
{{- end -}}
{{- if $repositories -}}
{{- if hasKey (.Values.airflow.config.dag_processor | default dict) "dag_bundle_storage_path" -}}
{{- $problems = append $problems "airflow.config.dag_processor.dag_bundle_storage_path: the repositories of dags.git are on the volume of dags.storage. Remove it." -}}
{{- end -}}
{{- range list "GIT_CONFIG_COUNT" "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH" -}}
{{- if hasKey $.Values.airflow.env . -}}
{{- $problems = append $problems (printf "airflow.env.%s: the chart sets this variable for dags.git. Remove it." .) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.networkPolicy.egress "strict") (not .Values.networkPolicy.egressRules) (not (and (dig "dagProcessor" "egress" list .Values.networkPolicy) (dig "workers" "egress" list .Values.networkPolicy))) -}}
{{- $problems = append $problems "networkPolicy.egressRules: is empty, so with networkPolicy.egress: strict no pod can reach the repositories of dags.git. Add rules that allow the Git servers, or add them to networkPolicy.dagProcessor.egress and networkPolicy.workers.egress." -}}
{{- end -}}
{{- end -}}
{{- range $type, $_ := .Values.dags.storage -}}
{{- if not (has $type (list "emptyDir" "ephemeral")) -}}
{{- $problems = append $problems (printf "dags.storage: is a volume of type %s, which pods could share. A task could then change the clones in which the dag-processor runs git. Use ephemeral (a PersistentVolumeClaim for each pod) or emptyDir." $type) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.dags.storage (not $repositories) (not .Values.dags.bundles) -}}
{{- $problems = append $problems "dags.storage: has no effect without dags.git or dags.bundles. Remove it." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
