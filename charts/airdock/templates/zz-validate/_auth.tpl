{{- /* Problems with auth, as a JSON list of messages. */ -}}
{{- define "airdock.problems.auth" -}}
{{- $auth := .Values.auth -}}
{{- $oidc := $auth.oidc -}}
{{- $problems := list -}}
{{- if $oidc.issuer -}}
{{- $problems = concat $problems (include "airdock.oidcProblems" . | fromJsonArray) -}}
{{- else -}}
{{- range $key, $value := dict "clientId" $oidc.clientId "clientSecret.secret" $oidc.clientSecret.secret "roles" $oidc.roles "defaultRole" $oidc.defaultRole -}}
{{- if $value -}}
{{- $problems = append $problems (printf "auth.oidc.%s: has no effect without auth.oidc.issuer. Set the URL of the identity provider, or remove it." $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $auth.users (ne $auth.manager "fab") -}}
{{- $problems = append $problems (printf "auth.users: is for auth.manager: fab, and it is %s. Set auth.manager: fab, or remove auth.users." $auth.manager) -}}
{{- end -}}
{{- $admin := lower $auth.admin.username -}}
{{- $seen := dict $admin "auth.admin.username" -}}
{{- range $name, $user := $auth.users -}}
{{- if hasKey $seen (lower $name) -}}
{{- $problems = append $problems (printf "auth.users.%s: is the same user as %s, since capitals do not count. Remove one of them." $name (get $seen (lower $name))) -}}
{{- end -}}
{{- $_ := set $seen (lower $name) (printf "auth.users.%s" $name) -}}
{{- $problems = concat $problems (include "airdock.roleProblems" (dict "root" $ "key" (printf "auth.users.%s.roles" $name) "roles" $user.roles) | fromJsonArray) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* Problems with auth.oidc, if it is set. */ -}}
{{- define "airdock.oidcProblems" -}}
{{- $auth := .Values.auth -}}
{{- $oidc := $auth.oidc -}}
{{- $problems := list -}}
{{- if ne $auth.manager "fab" -}}
{{- $problems = append $problems (printf "auth.oidc.issuer: is for auth.manager: fab, and it is %s. Set auth.manager: fab, or remove auth.oidc." $auth.manager) -}}
{{- end -}}
{{- $secure := ne true $oidc.insecure -}}
{{- if and $secure (hasPrefix "http://" $oidc.issuer) -}}
{{- $problems = append $problems "auth.oidc.issuer: begins with http://, so whoever can change the traffic could sign in as any user. Use https://, with the CA in trust if it is your own. For a test, set auth.oidc.insecure: true." -}}
{{- end -}}
{{- range $key, $value := dict "clientId" $oidc.clientId "clientSecret.secret" $oidc.clientSecret.secret -}}
{{- if not $value -}}
{{- $problems = append $problems (printf "auth.oidc.%s: is missing. The identity provider shows id and secret of the client that you registered there for Airflow; the secret belongs in a Secret." $key) -}}
{{- end -}}
{{- end -}}
{{- if not (has "openid" $oidc.scopes) -}}
{{- $problems = append $problems "auth.oidc.scopes: does not have openid, without which there is no ID token. Add it." -}}
{{- end -}}
{{- if not (or $oidc.roles $oidc.defaultRole) -}}
{{- $problems = append $problems "auth.oidc.roles: is empty, so nobody could sign in. Give values of the claim in auth.oidc.roleClaim roles, such as {airflow-admins: [Admin]}, or set auth.oidc.defaultRole." -}}
{{- end -}}
{{- range $value, $roles := $oidc.roles -}}
{{- $problems = concat $problems (include "airdock.roleProblems" (dict "root" $ "key" (printf "auth.oidc.roles.%s" $value) "roles" $roles) | fromJsonArray) -}}
{{- end -}}
{{- with $oidc.defaultRole -}}
{{- $problems = concat $problems (include "airdock.roleProblems" (dict "root" $ "key" "auth.oidc.defaultRole" "roles" (list .)) | fromJsonArray) -}}
{{- end -}}
{{- $url := include "airdock.baseUrl" . -}}
{{- if not $url -}}
{{- $problems = append $problems "auth.oidc.issuer: the URL of the UI is not known, to which the identity provider sends users back. Set ingress or httpRoute, or airflow.config.api.base_url." -}}
{{- else if and $secure (not (include "airdock.https" .)) -}}
{{- $problems = append $problems (printf "auth.oidc.issuer: the URL of the UI is %s, and identity providers send users back to https:// only. Set ingress.tlsSecretName, httpRoute.scheme or airflow.config.api.base_url. For a test, set auth.oidc.insecure: true." $url) -}}
{{- end -}}
{{- range $name := list "OAUTH_PROVIDERS" "AUTH_ROLES_MAPPING" "SECURITY_MANAGER_CLASS" -}}
{{- if regexMatch (printf `(?m)^%s\b` $name) $auth.webserverConfig -}}
{{- $problems = append $problems (printf "auth.webserverConfig: sets %s, which auth.oidc sets, too. Remove it there, or remove auth.oidc." $name) -}}
{{- end -}}
{{- end -}}
{{- $policy := .Values.networkPolicy -}}
{{- if and $policy.enabled (eq $policy.egress "strict") (not (or $policy.egressRules ($policy.apiServer | default dict).egress)) -}}
{{- $problems = append $problems "networkPolicy.apiServer.egress: is empty, so with networkPolicy.egress: strict the api-server cannot reach auth.oidc.issuer. Add a rule that allows it." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- /* Roles that cannot exist. Others than Airflow's own may be in the database. Call with (dict "root" $ "key" KEY "roles" $list). */ -}}
{{- define "airdock.roleProblems" -}}
{{- $problems := list -}}
{{- $custom := get (.root.Values.airflow.config.fab | default dict) "custom_roles" | default "" | toString -}}
{{- range $role := .roles -}}
{{- range $own := list "Admin" "Op" "User" "Viewer" "Public" -}}
{{- if and (eq (lower $role) (lower $own)) (ne $role $own) (not (contains $role $custom)) -}}
{{- $problems = append $problems (printf "%s: %q is not a role of Airflow. Capitals count: write %s." $.key $role $own) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
