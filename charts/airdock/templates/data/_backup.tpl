{{- /* The backup of the embedded database: database.embedded.backup. */ -}}

{{- /* "true" if the release has it. */ -}}
{{- define "airdock.backsUp" -}}
{{- if and .Values.database.embedded.backup.enabled (include "airdock.embedded" (dict "root" . "store" "database")) }}true{{ end -}}
{{- end }}

{{- define "airdock.problems.backup" -}}
{{- $problems := list -}}
{{- if and .Values.database.embedded.backup.enabled (not (include "airdock.backsUp" .)) -}}
{{- $other := .Values.controlPlane.enabled | ternary "database.existingSecret names an external one" "controlPlane.enabled is false, so the release has none" -}}
{{- $problems = append $problems (printf "database.embedded.backup.enabled: backs up the embedded database, but %s. Set it to false, and back up the other database with its own tools." $other) -}}
{{- else if and .Values.database.embedded.backup.enabled (not .Values.database.embedded.backup.claim) -}}
{{- $problems = append $problems "database.embedded.backup.enabled: needs a claim. Create a PersistentVolumeClaim for the dumps (docs/databases.md has one), and set database.embedded.backup.claim to its name." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
