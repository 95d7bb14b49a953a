{{/* The secret of the audit log's keys; "" where no log is kept. */}}
{{- define "kotaemon.audit.secret" -}}
{{- if .Values.audit.enabled -}}
{{- $own := printf "%s-audit" (include "kotaemon.fullname" .) -}}
{{- .Values.audit.existingSecret | default (ternary $own (include "kotaemon.secret" .) (eq (include "kotaemon.secret.own" .) "true")) -}}
{{- end -}}
{{- end }}

{{/* Whether the chart makes it. */}}
{{- define "kotaemon.audit.own" -}}
{{- if and .Values.audit.enabled (not .Values.audit.existingSecret) (include "kotaemon.secret.own" .) }}true{{ end -}}
{{- end }}

{{/* What processes are told that write the log: those that have its keys mounted. */}}
{{- define "kotaemon.audit.env" -}}
{{- if .Values.audit.enabled }}
- {name: AUDIT_LOG, value: "on"}
- {name: AUDIT_KEY_FILE, value: /etc/kotaemon/audit/audit.keys}
- {name: AUDIT_KEPT_S, value: {{ mul .Values.audit.keptDays 86400 | quote }}}
{{- end }}
{{- end }}
