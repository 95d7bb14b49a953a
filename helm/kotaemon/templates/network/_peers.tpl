{{/* {root, parts} → who may come, or where one may go, as a list of selectors */}}
{{- define "kotaemon.peers" -}}
{{- range .parts }}
- podSelector:
    matchLabels: {{- include "kotaemon.selector" (dict "root" $.root "part" .) | nindent 6 }}
{{- end }}
{{- end }}

{{/* Prometheus, wherever in its namespace: {root} */}}
{{- define "kotaemon.peers.monitoring" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .root.Values.monitoring.namespace | quote }}}
{{- end }}

{{/* Port of an address, or that of its scheme. */}}
{{- define "kotaemon.port" -}}
{{- $host := . | regexFind "://[^/?]+" -}}
{{- $port := $host | regexFind ":[0-9]+$" | trimPrefix ":" -}}
{{- $port | default (ternary "80" (ternary "6379" "443" (hasPrefix "redis" .)) (hasPrefix "http://" .)) -}}
{{- end }}

{{/* Ports of servers that are not the chart's: a policy knows no names, so only ports are told. */}}
{{- define "kotaemon.egress.ports" -}}
{{- $ports := list -}}
{{- with .Values.redis.external -}}
{{- if eq $.Values.redis.mode "external" -}}
{{- range concat .sentinels .nodes }}{{ $ports = append $ports (splitList ":" . | last) }}{{ end -}}
{{/* Sentinels tell where the primary is; its usual port. */}}
{{- if .sentinels }}{{ $ports = append $ports "6379" }}{{ end -}}
{{- if .url }}{{ $ports = append $ports (include "kotaemon.port" .url) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.kafka.mode "external" -}}
{{- range splitList "," .Values.kafka.external.bootstrapServers }}{{ $ports = append $ports (splitList ":" . | last) }}{{ end -}}
{{- end -}}
{{- if eq .Values.artifacts.mode "s3" }}{{ $ports = append $ports (include "kotaemon.port" (.Values.artifacts.s3.endpoint | default "https://aws")) }}{{ end -}}
{{- if and .Values.backup.enabled .Values.backup.destination }}{{ $ports = append $ports (include "kotaemon.port" (.Values.backup.endpoint | default "https://aws")) }}{{ end -}}
{{- range list .Values.llm.baseUrl .Values.encoder.url .Values.intents.url .Values.tracing.endpoint -}}
{{- if . }}{{ $ports = append $ports (include "kotaemon.port" .) }}{{ end -}}
{{- end -}}
{{- range $ports | uniq | sortAlpha }}
- {protocol: TCP, port: {{ . }}}
{{- end }}
{{- end }}

{{/* Where workers, coordinators and jobs go. */}}
{{- define "kotaemon.egress" -}}
- to: {{- include "kotaemon.peers" (dict "root" . "parts" (list "coordinator")) | trim | nindent 4 }}
  ports: [{protocol: TCP, port: 8090}]
- to: {{- include "kotaemon.peers" (dict "root" . "parts" (list "redis")) | trim | nindent 4 }}
  ports: [{protocol: TCP, port: 6379}]
- to: {{- include "kotaemon.peers" (dict "root" . "parts" (list "kafka")) | trim | nindent 4 }}
  ports: [{protocol: TCP, port: 9092}]
{{- with include "kotaemon.egress.ports" . | trim }}
- ports: {{- . | nindent 4 }}
{{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}
