{{/*
How our pods find Redis and Kafka, and who they are there. A part's own entries replace the common
ones in their place, because lists of environments are merged by name.
*/}}

{{/* {root, user}: how a part is known where each is a user of its own. */}}
{{- define "kotaemon.env.user" -}}
{{ include "kotaemon.env.redis.user" . }}
{{- if ne .user "backup" }}
{{ include "kotaemon.env.kafka.user" . }}
{{- else if include "kotaemon.kafka.users" .root }}
# It has no user there. What it says of data keys goes to Redis, where pods of such a cluster do not
# listen: they read the keys themselves within five seconds.
- {name: KAFKA_BOOTSTRAP_SERVERS, value: ""}
{{- end }}
{{- end }}

{{- define "kotaemon.redis.users" -}}
{{- if or (eq .Values.redis.mode "bundled") .Values.redis.external.users }}true{{ end -}}
{{- end }}

{{/* The secret of the users' passwords. */}}
{{- define "kotaemon.redis.secret" -}}
{{- ternary (include "kotaemon.secret" .) .Values.redis.external.existingSecret (eq .Values.redis.mode "bundled") -}}
{{- end }}

{{- define "kotaemon.env.redis.user" -}}
{{- if include "kotaemon.redis.users" .root -}}
{{- $password := dict "name" "REDIS_PASSWORD" "secret" (include "kotaemon.redis.secret" .root) "key" (printf "redis-%s-password" .user) -}}
{{ include "kotaemon.env.secret" $password }}
{{ include "kotaemon.env.redis.url" (dict "root" .root "who" (printf "%s:$(REDIS_PASSWORD)@" .user)) }}
{{- end -}}
{{- end }}

{{/* REDIS_URL of parts that say nothing else, after the passwords that it names. */}}
{{- define "kotaemon.env.redis" -}}
{{- if include "kotaemon.redis.users" . -}}
{{ include "kotaemon.env.redis.user" (dict "root" . "user" "worker") }}
{{- else -}}
{{- with .Values.redis.external -}}
{{- $who := "" -}}
{{- if .existingSecret -}}
{{- $who = printf "%s:$(REDIS_PASSWORD)@" .username -}}
{{ include "kotaemon.env.secret" (dict "name" "REDIS_PASSWORD" "secret" .existingSecret "key" "redis-password") }}
{{ end -}}
{{ include "kotaemon.env.redis.url" (dict "root" $ "who" $who) }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* {root, who}: `who` goes before the hosts. */}}
{{- define "kotaemon.env.redis.url" -}}
{{- if eq .root.Values.redis.mode "bundled" -}}
- {name: REDIS_URL, value: "redis://{{ .who }}{{ include "kotaemon.fullname" .root }}-redis:6379/0"}
{{- else -}}
{{- $who := .who -}}
{{- with .root.Values.redis.external -}}
{{- $options := list -}}
{{- if and .sentinels .sentinelAuth -}}
{{- $options = append $options "sentinel_password=$(REDIS_SENTINEL_PASSWORD)" -}}
{{ include "kotaemon.env.secret" (dict "name" "REDIS_SENTINEL_PASSWORD" "secret" .existingSecret "key" "sentinel-password") }}
{{ end -}}
{{- if .caSecret }}{{ $options = append $options "ssl_ca_certs=/etc/kotaemon/redis-ca/ca.crt" }}{{ end -}}
{{- if .certSecret }}{{ $options = concat $options (list "ssl_certfile=/etc/kotaemon/redis-cert/tls.crt" "ssl_keyfile=/etc/kotaemon/redis-cert/tls.key") }}{{ end -}}
{{- $scheme := ternary "rediss" "redis" .tls -}}
{{- $url := .url | replace "://" (printf "://%s" $who) -}}
{{- if .sentinels }}{{ $url = printf "%s+sentinel://%s%s/%s" $scheme $who (join "," .sentinels) .service }}{{ end -}}
{{- if .nodes }}{{ $url = printf "%s+cluster://%s%s" $scheme $who (join "," .nodes) }}{{ end -}}
{{- if $options }}{{ $url = printf "%s%s%s" $url (ternary "&" "?" (contains "?" $url)) (join "&" $options) }}{{ end -}}
- {name: REDIS_URL, value: {{ $url | quote }}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "kotaemon.kafka.users" -}}
{{- if or (eq .Values.kafka.mode "bundled") (and (eq .Values.kafka.mode "external") .Values.kafka.external.users) }}true{{ end -}}
{{- end }}

{{- define "kotaemon.env.kafka.user" -}}
{{- if include "kotaemon.kafka.users" .root -}}
{{- $secret := ternary (include "kotaemon.secret" .root) .root.Values.kafka.external.existingSecret (eq .root.Values.kafka.mode "bundled") -}}
- {name: KAFKA_USERNAME, value: {{ .user }}}
{{ include "kotaemon.env.secret" (dict "name" "KAFKA_PASSWORD" "secret" $secret "key" (printf "kafka-%s-password" .user)) }}
{{- end -}}
{{- end }}

{{/* Where Kafka is, and who we are where all are the same. */}}
{{- define "kotaemon.env.kafka" -}}
{{- if eq .Values.kafka.mode "bundled" }}
- {name: KAFKA_BOOTSTRAP_SERVERS, value: "{{ include "kotaemon.fullname" . }}-kafka:9092"}
- {name: KAFKA_SECURITY_PROTOCOL, value: SASL_PLAINTEXT}
- {name: KAFKA_SASL_MECHANISM, value: SCRAM-SHA-512}
{{- else if eq .Values.kafka.mode "external" }}
{{- with .Values.kafka.external }}
- {name: KAFKA_BOOTSTRAP_SERVERS, value: {{ .bootstrapServers | quote }}}
- {name: KAFKA_SECURITY_PROTOCOL, value: {{ .securityProtocol }}}
{{- if hasPrefix "SASL" .securityProtocol }}
- {name: KAFKA_SASL_MECHANISM, value: {{ .saslMechanism }}}
{{- if not .users }}
- {name: KAFKA_USERNAME, value: {{ .username | quote }}}
{{ include "kotaemon.env.secret" (dict "name" "KAFKA_PASSWORD" "secret" .existingSecret "key" "kafka-password") }}
{{- end }}
{{- end }}
{{- if .caSecret }}
- {name: KAFKA_CA_FILE, value: /etc/kotaemon/kafka-ca/ca.crt}
{{- end }}
{{- if .certSecret }}
- {name: KAFKA_CERT_FILE, value: /etc/kotaemon/kafka-cert/tls.crt}
- {name: KAFKA_KEY_FILE, value: /etc/kotaemon/kafka-cert/tls.key}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Secrets with files for TLS: a line `name secret` each. */}}
{{- define "kotaemon.stores.secrets" -}}
{{- range $store := list "kafka" "redis" -}}
{{- $told := index $.Values $store -}}
{{- if eq $told.mode "external" -}}
{{- with $told.external.caSecret }}{{ printf "%s-ca %s\n" $store . }}{{ end -}}
{{- with $told.external.certSecret }}{{ printf "%s-cert %s\n" $store . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Files that all our pods read: volumes and mounts. */}}
{{- define "kotaemon.volumes" -}}
- name: tmp
  emptyDir: {}
- name: trusted
  secret:
    secretName: {{ include "kotaemon.secret" . }}
    items: [{key: signing.crt, path: signing.crt}]
{{- range $line := include "kotaemon.stores.secrets" . | trim | splitList "\n" | compact }}
{{- $words := splitList " " $line }}
- name: {{ first $words }}
  secret: {secretName: {{ last $words }}}
{{- end }}
{{- end }}

{{- define "kotaemon.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: trusted, mountPath: /etc/kotaemon/trusted, readOnly: true}
{{- range $line := include "kotaemon.stores.secrets" . | trim | splitList "\n" | compact }}
{{- $name := splitList " " $line | first }}
- {name: {{ $name }}, mountPath: /etc/kotaemon/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
