{{/* What only workers are told. */}}
{{- define "kotaemon.worker.env" -}}
{{ include "kotaemon.env.user" (dict "root" . "user" "worker") }}
- name: POD_IP
  valueFrom:
    fieldRef: {fieldPath: status.podIP}
- name: POD_INDEX
  valueFrom:
    fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}
# As the balancer calls this slot.
- {name: POD_NAME, value: worker-$(POD_INDEX)}
- {name: POD_ADDRESS, value: "{{ ternary "[$(POD_IP)]" "$(POD_IP)" .Values.ipv6 }}:8000"}
- {name: LEAVE_PORT, value: "8001"}
{{- if .Values.grpc.enabled }}
- {name: GRPC_PORT, value: "9090"}
{{- end }}
- {name: ARTIFACT_CACHE_DIR, value: /var/cache/kotaemon/artifacts}
- {name: ARTIFACT_CACHE_BYTES_MAX, value: {{ mul .Values.worker.cacheGiB 1073741824 | quote }}}
- {name: ADMIN_KEY_FILE, value: /etc/kotaemon/admin/admin-key}
{{- if eq .Values.auth.mode "oidc" }}
- {name: OIDC_FILE, value: /etc/kotaemon/oidc/oidc.yaml}
{{- end }}
{{- include "kotaemon.audit.env" . }}
{{- include "kotaemon.encryption.env" . }}
{{- with .Values.llm }}
{{- if .baseUrl }}
- {name: LLM_BASE_URL, value: {{ .baseUrl | quote }}}
- {name: LLM_MODEL, value: {{ .model | quote }}}
- {name: LLM_CONTINUE, value: {{ .continue }}}
{{- if .existingSecret }}
{{ include "kotaemon.env.secret" (dict "name" "LLM_API_KEY" "secret" .existingSecret "key" .secretKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.tools }}
- {name: TOOLS_FILE, value: /etc/kotaemon/tools/tools.yaml}
{{- end }}
{{- with .Values.intents }}
{{- if .file }}
- {name: INTENTS_FILE, value: /etc/kotaemon/intents/intents.yaml}
{{- end }}
{{- if .url }}
- {name: INTENT_URL, value: {{ .url | quote }}}
{{- if .existingSecret }}
{{ include "kotaemon.env.secret" (dict "name" "INTENT_API_KEY" "secret" .existingSecret "key" .secretKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.plugins.existingSecret }}
- {name: PLUGIN_SECRETS_DIR, value: /etc/kotaemon/plugin-secrets}
{{- end }}
{{- if .Values.webhooks }}
- {name: WEBHOOKS_FILE, value: /etc/kotaemon/webhooks/webhooks.yaml}
{{- end }}
{{- if .Values.channels }}
- {name: CHANNELS_FILE, value: /etc/kotaemon/channels/channels.yaml}
{{- end }}
{{- with .Values.limits }}
- {name: LIMIT_REQUESTS_PER_MINUTE, value: {{ .requestsPerMinute | int64 | quote }}}
- {name: LIMIT_TOKENS_PER_MINUTE, value: {{ .tokensPerMinute | int64 | quote }}}
- {name: LIMIT_COST_PER_DAY, value: {{ .costPerDay | quote }}}
- {name: LIMIT_STREAMS, value: {{ .streams | int64 | quote }}}
- {name: LIMIT_UPLOAD_BYTES_PER_DAY, value: {{ .uploadBytesPerDay | int64 | quote }}}
- {name: LIMIT_REFUSED_PER_MINUTE, value: {{ .refusedPerMinute | int64 | quote }}}
{{- $any := or .requestsPerMinute .tokensPerMinute .costPerDay .streams .uploadBytesPerDay .table }}
- {name: LIMIT_BY_ADDRESS, value: {{ ternary "true" "false" (and .byAddress (not (empty $any))) | quote }}}
- {name: BALANCER_NETWORKS, value: {{ .balancerNetworks | quote }}}
{{- with $.Values.haproxy.trustedProxies }}
- {name: TRUSTED_PROXIES, value: {{ join "," . | quote }}}
{{- end }}
{{- if .table }}
- {name: LIMITS_FILE, value: /etc/kotaemon/limits/limits.yaml}
{{- end }}
{{- end }}
{{- if .Values.experiment }}
- {name: EXPERIMENT_FILE, value: /etc/kotaemon/experiment/experiment.yaml}
{{- end }}
{{- end }}
