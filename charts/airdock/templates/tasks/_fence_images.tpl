{{- /*
The rule for images. Entry and image are parsed into registry, repository, tag and digest, as github.com/distribution/reference does, and the
parts are compared. tests/support/image_references.py has the cases.
*/ -}}

{{- define "airdock.fenceImageRules" -}}
{{- with .tasks.admission.images -}}
{{- $entries := include "airdock.imageEntries" . | fromJson -}}
# Each image as [what the pod names, registry and repository, tag, digest].
images: |
  variables.imageNames.map(i, string(i))
    .map(i, [i, i.split("@")[0], i.contains("@") ? i.substring(i.indexOf("@") + 1) : ""])
    .map(r, [r[0], r[1], r[1].substring(r[1].lastIndexOf("/") + 1), r[2]])
    .map(r, r[2].contains(":") ?
      [r[0], r[1].substring(0, r[1].lastIndexOf(":")), r[2].substring(r[2].indexOf(":") + 1), r[3]] :
      [r[0], r[1], r[3] == "" ? "latest" : "", r[3]])
    .map(r, [r[0], r[1].matches("^([^/]*[.:A-Z][^/]*|localhost)/") ? r[1] : "docker.io/" + r[1], r[2], r[3]])
    .map(r, [r[0], r[1].startsWith("index.docker.io/") ? r[1].substring(6) : r[1], r[2], r[3]])
    .map(r, [r[0], r[1].matches("^docker[.]io/[^/]*$") ? "docker.io/library/" + r[1].substring(10) : r[1], r[2], r[3]])
    .filter(r, !(
      r[0] == {{ include "airdock.image" (dict "root" $.root "image" $.root.Values.images.xcomSidecar) | toJson }}
      || r[0].matches({{ include "airdock.imageGrammar" . | toJson }}) && ({{ has "*" . }}
        || r[1] in {{ toJson $entries.repositories }}
        || {{ toJson $entries.below }}.exists(p, r[1].startsWith(p))
        || r[3] == "" && {{ toJson $entries.tags }}.exists(t, (r[1] + ":" + r[2]).matches(t))
        || r[3] != "" && (r[1] + "@" + r[3]) in {{ toJson $entries.digests }})))
    .map(r, "image " + r[0] + " (tasks.admission.images)")
{{- end -}}
{{- end }}

{{- /* A name in which "*" stands for any characters, as a regular expression. Call with (dict "text" $text "any" $expression). */ -}}
{{- define "airdock.imagePattern" -}}
{{- .text | replace "." "[.]" | replace "*" .any -}}
{{- end }}

{{- /* The entries of a list of images by what they admit, as JSON. */ -}}
{{- define "airdock.imageEntries" -}}
{{- $repositories := list -}}
{{- $below := list -}}
{{- $tags := list -}}
{{- $digests := list -}}
{{- range without . "*" -}}
{{- $parts := splitn "@" 2 . -}}
{{- $name := $parts._0 -}}
{{- $digest := $parts._1 | default "" -}}
{{- $tag := regexFind ":[^/]*$" $name -}}
{{- $name = trimSuffix $tag $name -}}
{{- if not (regexMatch "^([^/]*[.:A-Z][^/]*|localhost)/" $name) }}{{ $name = printf "docker.io/%s" $name }}{{ end -}}
{{- $name = regexReplaceAll "^index[.]docker[.]io/" $name "docker.io/" -}}
{{- if regexMatch "^docker[.]io/[^/*]*$" $name }}{{ $name = replace "docker.io/" "docker.io/library/" $name }}{{ end -}}
{{- if $digest -}}
{{- $digests = append $digests (printf "%s@%s" $name $digest) -}}
{{- else if not (has $tag (list "" ":*")) -}}
{{- $repository := include "airdock.imagePattern" (dict "text" $name "any" "[^:]+") -}}
{{- $tags = append $tags (printf "^%s%s$" $repository (include "airdock.imagePattern" (dict "text" $tag "any" "[A-Za-z0-9_.-]*"))) -}}
{{- else if hasSuffix "/*" $name -}}
{{- $below = append $below (trimSuffix "*" $name) -}}
{{- else -}}
{{- $repositories = append $repositories $name -}}
{{- end -}}
{{- end -}}
{{- dict "repositories" $repositories "below" $below "tags" $tags "digests" $digests | toJson -}}
{{- end }}

{{- /* The grammar of image references. */ -}}
{{- define "airdock.imageGrammar" -}}
{{- $part := "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*" -}}
{{- $path := printf "([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?/)?%s(/%s)*" $part $part -}}
{{- printf "^%s(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[A-Za-z0-9_+.-]+:[0-9a-fA-F]{32,})?$" $path -}}
{{- end }}
