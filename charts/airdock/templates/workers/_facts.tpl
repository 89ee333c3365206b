{{- /*
Modes and executors describe themselves: each is one file, _mode_<name>.tpl or _executor_<name>.tpl, and no other template compares their
names: it includes (printf "airdock.mode.%s.facts" $group.mode). All parts but those marked so are called with
(dict "root" $ "name" $name "group" $group).

  airdock.mode.<name>             what the mode adds to a pod; airdock.worker lists the keys
  airdock.mode.<name>.facts       a YAML map:
    serves        a list of what tasks can use: docker (the Docker API), kubernetes (the Kubernetes operators), gateway (the Docker API
                  is served by a Docker gateway), clusterGateway (by one that creates pods)
    daemon        true if the pods have a Docker daemon of their own
    podSecurity   the strictest Pod Security level that admits the group's pods
    apiServer     true if the pods may connect to the API server
    taskPods      true if the group starts task pods: the chart then creates its task namespace
    configMaps    ConfigMaps that the pods mount, one in each namespace with such a group: {<name>: {component, data}}; data is a define
  airdock.mode.<name>.problems    a JSON list of messages: values that cannot work
  airdock.mode.<name>.note        what NOTES.txt says about the group; may be empty

  airdock.executor.<name>.facts   a YAML map, called with the root:
    component     the component label of its workers' pods
    podPerTask    true if the scheduler creates a pod for each task; false if workers are Deployments or StatefulSets
    broker        true if scheduler and workers use the broker
    group         values that every group of this executor has
    settings      files that airflow_local_settings.py needs, of files/
  airdock.executor.<name>.config     settings for airflow.cfg, under the user's; called with the root
  airdock.executor.<name>.container  the executor's part of a worker's main container
  airdock.executor.<name>.problems   a JSON list of messages about a group
  airdock.executor.<name>.releaseProblems  the same about the release; called with (dict "root" $ "taskNamespaces" $names)
*/ -}}

{{- /* The facts of the release's executors, as a JSON map by name. */ -}}
{{- define "airdock.executors" -}}
{{- $executors := dict -}}
{{- range splitList "," .Values.executor -}}
{{- $_ := set $executors . (include (printf "airdock.executor.%s.facts" .) $ | fromYaml) -}}
{{- end -}}
{{- toJson $executors -}}
{{- end }}

{{- /* "true" if a fact is true for one of the release's executors. Call with (dict "root" $ "fact" "broker"). */ -}}
{{- define "airdock.anyExecutor" -}}
{{- $found := false -}}
{{- range include "airdock.executors" .root | fromJson }}{{ $found = or $found (get . $.fact) }}{{ end -}}
{{- if $found }}true{{ end -}}
{{- end }}

{{- /* "true" if tasks of a group can use something (the fact `serves`). Call with (dict "group" $group "what" "docker"). */ -}}
{{- define "airdock.serves" -}}
{{- if has .what .group.facts.serves }}true{{ end -}}
{{- end }}
