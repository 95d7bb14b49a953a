{{/* The secret of the audit log's keys; "" where no log is kept. */}}
{{- define "kotaemon.audit.secret" -}}
{{- if .Values.audit.enabled -}}
{{- .Values.audit.existingSecret | default (printf "%s-audit" (include "kotaemon.fullname" .)) -}}
{{- end -}}
{{- end }}

{{/* What processes are told that write the log: those that have its keys mounted. */}}
{{- define "kotaemon.audit.env" -}}
{{- if .Values.audit.enabled }}
- {name: AUDIT_LOG, value: "on"}
- {name: AUDIT_KEY_FILE, value: /etc/kotaemon/audit/audit.keys}
- {name: AUDIT_KEPT_S, value: {{ mul .Values.audit.keptDays 86400 | quote }}}
{{- end }}
{{- end }}
