{{/* haproxy.cfg and its Lua: the files of the cluster on one machine, with other addresses. */}}
{{- define "kotaemon.haproxy.files" -}}
haproxy.cfg: |
  {{- tpl (.Files.Get "files/haproxy.cfg") . | nindent 2 }}
{{- range $path, $_ := .Files.Glob "files/*.lua" }}
{{ base $path }}: |
  {{- $.Files.Get $path | nindent 2 }}
{{- end }}
{{- end }}
