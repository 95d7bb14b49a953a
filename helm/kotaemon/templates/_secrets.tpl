{{/*
The chart's own secrets, as JSON, made once: what the cluster holds already stays. Kept in .Values
while templates are rendered, because a second call would make others than those in the secret.
*/}}
{{- define "kotaemon.secret.values" -}}
{{- if not (hasKey .Values "_secrets") -}}
{{- $there := dict -}}
{{- with lookup "v1" "Secret" .Release.Namespace (include "kotaemon.secret" .) }}{{ $there = .data | default dict }}{{ end -}}
{{- $key := genPrivateKey "ed25519" -}}
{{- $made := dict
  "admin-key" (printf "kn_%s_%s" (randAlphaNum 12) (randAlphaNum 43))
  "redis-password" (randAlphaNum 40)
  "redis-worker-password" (randAlphaNum 40)
  "redis-coordinator-password" (randAlphaNum 40)
  "redis-turn-log-password" (randAlphaNum 40)
  "redis-backup-password" (randAlphaNum 40)
  "kafka-worker-password" (randAlphaNum 40)
  "kafka-coordinator-password" (randAlphaNum 40)
  "kafka-turn-log-password" (randAlphaNum 40)
  "artifact-token" (randAlphaNum 40)
  "signing.pem" $key
  "signing.crt" (genSelfSignedCertWithKey (include "kotaemon.fullname" .) nil nil 36500 $key).Cert -}}
{{- range $name, $_ := $made -}}
{{- if hasKey $there $name }}{{ $_ := set $made $name (get $there $name | b64dec) }}{{ end -}}
{{- end -}}
{{/* The certificate only carries the public half: where one of the two is missing both are new. */}}
{{- if and (hasKey $there "signing.pem") (not (hasKey $there "signing.crt")) -}}
{{- $_ := set $made "signing.crt" (genSelfSignedCertWithKey (include "kotaemon.fullname" .) nil nil 36500 (get $made "signing.pem")).Cert -}}
{{- else if and (hasKey $there "signing.crt") (not (hasKey $there "signing.pem")) -}}
{{- $_ := set $made "signing.crt" (genSelfSignedCertWithKey (include "kotaemon.fullname" .) nil nil 36500 $key).Cert -}}
{{- end -}}
{{- $_ := set .Values "_secrets" $made -}}
{{- end -}}
{{- get .Values "_secrets" | toJson -}}
{{- end }}

{{/* Whether the chart makes the secret; pods restart where it changes. */}}
{{- define "kotaemon.secret.own" -}}
{{- if not (or .Values.secrets.existingSecret .Values.secrets.externalSecret.enabled) }}true{{ end -}}
{{- end }}

{{- define "kotaemon.secret.checksum" -}}
{{- if include "kotaemon.secret.own" . }}{{ include "kotaemon.secret.values" . }}{{ else }}{{ include "kotaemon.secret" . }}{{ end -}}
{{- end }}

{{/* The secret of master keys; "" where nothing is sealed. */}}
{{- define "kotaemon.encryption.secret" -}}
{{- if .Values.encryption.enabled -}}
{{- $own := printf "%s-encryption" (include "kotaemon.fullname" .) -}}
{{- .Values.encryption.existingSecret | default (ternary $own (include "kotaemon.secret" .) (eq (include "kotaemon.secret.own" .) "true")) -}}
{{- end -}}
{{- end }}

{{/* Whether the chart makes it. */}}
{{- define "kotaemon.encryption.own" -}}
{{- if and .Values.encryption.enabled (not .Values.encryption.existingSecret) (include "kotaemon.secret.own" .) }}true{{ end -}}
{{- end }}

{{- define "kotaemon.encryption.env" -}}
{{- if .Values.encryption.enabled }}
- {name: ENCRYPTION_KEY_FILE, value: /etc/kotaemon/encryption/master.keys}
- {name: ENCRYPTION_SEAL, value: {{ ternary "on" "off" .Values.encryption.seal | quote }}}
- {name: ENCRYPTION_PLAIN, value: {{ .Values.encryption.plain }}}
- {name: ENCRYPTION_DATA_KEY_AGE_S, value: {{ mul .Values.encryption.dataKeyAgeDays 86400 | quote }}}
{{- end }}
{{- end }}
