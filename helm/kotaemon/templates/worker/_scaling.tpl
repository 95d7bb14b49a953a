{{/* Up at once, down one pod in two minutes: a pod that leaves hands its turns over. */}}
{{- define "kotaemon.scaling" -}}
{{- toYaml (mergeOverwrite (include "kotaemon.scaling.usual" . | fromYaml) (deepCopy .behavior)) -}}
{{- end }}

{{- define "kotaemon.scaling.usual" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - {type: Percent, value: 100, periodSeconds: 15}
    - {type: Pods, value: 2, periodSeconds: 15}
scaleDown:
  stabilizationWindowSeconds: 300
  policies:
    - {type: Pods, value: 1, periodSeconds: 120}
{{- end }}
