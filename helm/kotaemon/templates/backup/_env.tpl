{{/* What `kotaemon backup` is told; it reads the coordinator's volume itself. */}}
{{- define "kotaemon.backup.env" -}}
{{ include "kotaemon.env.user" (dict "root" . "user" "backup") }}
- {name: BACKUP_URL, value: {{ .Values.backup.destination | default "file:///backups" | quote }}}
{{- with .Values.backup.endpoint }}
- {name: BACKUP_S3_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.backup.region }}
- {name: BACKUP_S3_REGION, value: {{ . | quote }}}
{{- end }}
{{- include "kotaemon.audit.env" . }}
- {name: KNOWLEDGE_DIR, value: /var/lib/kotaemon/knowledge}
{{- if ne .Values.artifacts.mode "s3" }}
- {name: COORDINATOR_ARTIFACT_URL, value: "file:///var/lib/kotaemon/artifacts"}
{{- end }}
{{- end }}
