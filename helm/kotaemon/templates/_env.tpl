{{/*
Environment of our pods. Lists are merged by name: a later entry replaces an earlier one in its
place, because Helm 4 and server-side apply refuse names that come twice. `$(NAME)` needs NAME before.
*/}}

{{/* {lists: [[entry…]…]} → one list as YAML */}}
{{- define "kotaemon.env.merge" -}}
{{- $names := list -}}
{{- $byName := dict -}}
{{- range $list := .lists -}}
{{- range $entry := $list -}}
{{- if not (hasKey $byName $entry.name) }}{{ $names = append $names $entry.name }}{{ end -}}
{{- $_ := set $byName $entry.name $entry -}}
{{- end -}}
{{- end -}}
{{- $merged := list -}}
{{- range $names }}{{ $merged = append $merged (get $byName .) }}{{ end -}}
{{- toYaml $merged -}}
{{- end }}

{{/* {root, text: entries of the part, extra} → what a container gets */}}
{{- define "kotaemon.env" -}}
{{- $config := list -}}
{{- range $name, $value := .root.Values.config -}}
{{- $config = append $config (dict "name" $name "value" (include "kotaemon.env.value" $value)) -}}
{{- end -}}
{{- $own := printf "%s\n%s" (include "kotaemon.env.common" .root) .text | fromYamlArray -}}
{{- include "kotaemon.env.merge" (dict "lists" (list $own $config .root.Values.extraEnv (.extra | default list))) -}}
{{- end }}

{{/* Numbers of YAML are floats in templates: 86400000 must not become 8.64e+07. */}}
{{- define "kotaemon.env.value" -}}
{{- if kindIs "float64" . }}{{ if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}{{ else }}{{ . }}{{ end -}}
{{- end }}

{{/* {name, secret, key} */}}
{{- define "kotaemon.env.secret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}
{{- end }}

{{- define "kotaemon.env.common" -}}
{{- $name := include "kotaemon.fullname" . -}}
{{- $secret := include "kotaemon.secret" . -}}
- {name: CLUSTER_ID, value: {{ include "kotaemon.clusterId" . | quote }}}
- {name: AUTH_MODE, value: {{ .Values.auth.mode }}}
- {name: DURABILITY, value: {{ .Values.durability }}}
{{- if .Values.turnLog.to }}
- {name: TURN_LOG, value: "on"}
{{- end }}
- {name: TRUSTED_KEYS, value: /etc/kotaemon/trusted/signing.crt}
{{ include "kotaemon.env.redis" . }}
{{- if eq .Values.kafka.mode "bundled" }}
- {name: KAFKA_BOOTSTRAP_SERVERS, value: "{{ $name }}-kafka:9092"}
{{- else if eq .Values.kafka.mode "external" }}
{{- with .Values.kafka.external }}
- {name: KAFKA_BOOTSTRAP_SERVERS, value: {{ .bootstrapServers | quote }}}
- {name: KAFKA_SECURITY_PROTOCOL, value: {{ .securityProtocol }}}
{{- if hasPrefix "SASL" .securityProtocol }}
- {name: KAFKA_SASL_MECHANISM, value: {{ .saslMechanism }}}
- {name: KAFKA_USERNAME, value: {{ .username | quote }}}
{{ include "kotaemon.env.secret" (dict "name" "KAFKA_PASSWORD" "secret" .existingSecret "key" "kafka-password") }}
{{- end }}
{{- if .caSecret }}
- {name: KAFKA_CA_FILE, value: /etc/kotaemon/kafka-ca/ca.crt}
{{- end }}
{{- end }}
{{- end }}
{{- if eq .Values.artifacts.mode "s3" }}
{{- with .Values.artifacts.s3 }}
- {name: ARTIFACT_URL, value: {{ .url | quote }}}
{{- if .endpoint }}
- {name: ARTIFACT_S3_ENDPOINT, value: {{ .endpoint | quote }}}
{{- end }}
{{- if .region }}
- {name: ARTIFACT_S3_REGION, value: {{ .region | quote }}}
{{- end }}
{{- if .existingSecret }}
{{ include "kotaemon.env.secret" (dict "name" "AWS_ACCESS_KEY_ID" "secret" .existingSecret "key" "AWS_ACCESS_KEY_ID") }}
{{ include "kotaemon.env.secret" (dict "name" "AWS_SECRET_ACCESS_KEY" "secret" .existingSecret "key" "AWS_SECRET_ACCESS_KEY") }}
{{- end }}
{{- end }}
{{- else }}
- {name: ARTIFACT_URL, value: "http://{{ $name }}-coordinator:8090/artifacts"}
{{ include "kotaemon.env.secret" (dict "name" "ARTIFACT_TOKEN" "secret" $secret "key" "artifact-token") }}
{{- end }}
{{- with .Values.encoder }}
{{- if .model }}
- {name: ENCODER_MODEL, value: {{ .model | quote }}}
{{- end }}
{{- if .url }}
- {name: ENCODER_BACKEND, value: http}
- {name: ENCODER_URL, value: {{ .url | quote }}}
{{- if .existingSecret }}
{{ include "kotaemon.env.secret" (dict "name" "ENCODER_API_KEY" "secret" .existingSecret "key" .secretKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.tracing }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_SERVICE_NAME, value: {{ .serviceName | quote }}}
- {name: OTEL_TRACES_SAMPLE_RATIO, value: {{ .sampleRatio | quote }}}
{{- if .existingSecret }}
{{ include "kotaemon.env.secret" (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "secret" .existingSecret "key" .secretKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* {root, user}: how a part is known to the bundled Redis; goes before the common entries. */}}
{{- define "kotaemon.env.redis.user" -}}
{{- if eq .root.Values.redis.mode "bundled" -}}
{{ include "kotaemon.env.secret" (dict "name" "REDIS_PASSWORD" "secret" (include "kotaemon.secret" .root) "key" (printf "redis-%s-password" .user)) }}
- {name: REDIS_URL, value: "redis://{{ .user }}:$(REDIS_PASSWORD)@{{ include "kotaemon.fullname" .root }}-redis:6379/0"}
{{- end -}}
{{- end }}

{{/* REDIS_URL, after the passwords that it names. */}}
{{- define "kotaemon.env.redis" -}}
{{- if eq .Values.redis.mode "bundled" -}}
{{ include "kotaemon.env.redis.user" (dict "root" . "user" "worker") }}
{{- else -}}
{{- with .Values.redis.external -}}
{{- $who := "" -}}
{{- if .existingSecret -}}
{{- $who = printf "%s:$(REDIS_PASSWORD)@" .username -}}
{{ include "kotaemon.env.secret" (dict "name" "REDIS_PASSWORD" "secret" .existingSecret "key" "redis-password") }}
{{ end -}}
{{- $url := "" -}}
{{- if .sentinels -}}
{{- $url = printf "redis+sentinel://%s%s/%s" $who (join "," .sentinels) .service -}}
{{- if .sentinelAuth -}}
{{- $url = printf "%s?sentinel_password=$(REDIS_SENTINEL_PASSWORD)" $url -}}
{{ include "kotaemon.env.secret" (dict "name" "REDIS_SENTINEL_PASSWORD" "secret" .existingSecret "key" "sentinel-password") }}
{{ end -}}
{{- else if .nodes -}}
{{- $url = printf "redis+cluster://%s%s" $who (join "," .nodes) -}}
{{- else -}}
{{- $url = .url | replace "://" (printf "://%s" $who) -}}
{{- if .caSecret }}{{ $url = printf "%s%sssl_ca_certs=/etc/kotaemon/redis-ca/ca.crt" $url (ternary "&" "?" (contains "?" $url)) }}{{ end -}}
{{- end -}}
- {name: REDIS_URL, value: {{ $url | quote }}}
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
{{- if and (eq .Values.kafka.mode "external") .Values.kafka.external.caSecret }}
- name: kafka-ca
  secret: {secretName: {{ .Values.kafka.external.caSecret }}}
{{- end }}
{{- if and (eq .Values.redis.mode "external") .Values.redis.external.caSecret }}
- name: redis-ca
  secret: {secretName: {{ .Values.redis.external.caSecret }}}
{{- end }}
{{- end }}

{{- define "kotaemon.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: trusted, mountPath: /etc/kotaemon/trusted, readOnly: true}
{{- if and (eq .Values.kafka.mode "external") .Values.kafka.external.caSecret }}
- {name: kafka-ca, mountPath: /etc/kotaemon/kafka-ca, readOnly: true}
{{- end }}
{{- if and (eq .Values.redis.mode "external") .Values.redis.external.caSecret }}
- {name: redis-ca, mountPath: /etc/kotaemon/redis-ca, readOnly: true}
{{- end }}
{{- end }}
