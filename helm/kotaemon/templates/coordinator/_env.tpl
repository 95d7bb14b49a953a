{{/* What coordinators and build workers are told. */}}
{{- define "kotaemon.coordinator.env" -}}
{{ include "kotaemon.env.user" (dict "root" . "user" "coordinator") }}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- {name: COORDINATOR_HOST, value: {{ ternary "::" "0.0.0.0" .Values.ipv6 | quote }}}
- {name: COORDINATOR_PORT, value: "8090"}
- {name: KNOWLEDGE_DIR, value: /var/lib/kotaemon/knowledge}
- {name: PLUGINS_DIR, value: {{ ternary "/etc/kotaemon/plugins" "/var/lib/kotaemon/plugins" (not (empty .Values.plugins.configMap)) }}}
- {name: SIGNING_KEY_FILE, value: /etc/kotaemon/signing/signing.pem}
- {name: ARTIFACT_CACHE_DIR, value: /var/cache/kotaemon/artifacts}
{{- include "kotaemon.audit.env" . }}
{{- if ne .Values.artifacts.mode "s3" }}
- {name: COORDINATOR_ARTIFACT_URL, value: "file:///var/lib/kotaemon/artifacts"}
{{- end }}
{{- end }}
