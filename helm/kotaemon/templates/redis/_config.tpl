{{/* As kotaemon_node/local/config.py writes it, for every address. */}}
{{- define "kotaemon.redis.config" -}}
{{- $redis := .Values.redis.bundled -}}
bind * -::*
port 6379
daemonize no
dir /data
appendonly yes
appendfsync {{ $redis.appendfsync | default (ternary "always" "everysec" (eq .Values.durability "fsync")) }}
# The append-only file holds everything; a second copy would only cost a fork.
save ""
maxmemory {{ $redis.maxmemory }}
maxmemory-policy noeviction
tcp-keepalive 60
{{- end }}
