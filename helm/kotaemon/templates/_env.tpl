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
{{- if ne .Values.sessionEvents "all" }}
- {name: SESSION_EVENTS, value: {{ .Values.sessionEvents }}}
{{- end }}
{{- if .Values.turnLog.to }}
- {name: TURN_LOG, value: "on"}
{{- end }}
- {name: TRUSTED_KEYS, value: /etc/kotaemon/trusted/signing.crt}
{{ include "kotaemon.env.redis" . }}
{{ include "kotaemon.env.kafka" . }}
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
