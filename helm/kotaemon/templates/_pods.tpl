{{/* What all pods have in common: {root, part, pod}; `pod` goes before .Values.pod. */}}

{{/* Both merged; lists of the part's own replace the common ones. */}}
{{- define "kotaemon.pod.values" -}}
{{- mergeOverwrite (deepCopy .root.Values.pod) (deepCopy .pod) | toYaml -}}
{{- end }}

{{/*
metadata of a pod: {root, part, pod, checksums?: dict name → text}. No version among its labels: a new
chart would restart Redis and the balancers, though nothing of theirs has changed.
*/}}
{{- define "kotaemon.pod.metadata" -}}
{{- $own := include "kotaemon.pod.values" . | fromYaml -}}
labels:
  {{- include "kotaemon.selector" . | nindent 2 }}
  {{- with $own.labels }}{{ toYaml . | nindent 2 }}{{ end }}
{{- $annotations := dict }}
{{- range $name, $text := .checksums }}
{{- $_ := set $annotations (printf "checksum/%s" $name) (sha256sum $text) }}
{{- end }}
{{- with mergeOverwrite $annotations ($own.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Top of a pod's spec, for the profile `restricted`. `.affinity`: of the part itself. */}}
{{- define "kotaemon.pod.spec" -}}
{{- $own := include "kotaemon.pod.values" . | fromYaml -}}
serviceAccountName: {{ include "kotaemon.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with int .root.Values.user }}
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with mergeOverwrite (deepCopy (.affinity | default dict)) ($own.affinity | default dict) }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if $own.topologySpreadConstraints }}
  {{- toYaml $own.topologySpreadConstraints | nindent 2 }}
{{- else if .spread }}
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "kotaemon.selector" $ | nindent 8 }}
  {{- end }}
{{- else }} []
{{- end }}
{{- end }}

{{- define "kotaemon.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Containers of our own image: {root} */}}
{{- define "kotaemon.container" -}}
image: {{ include "kotaemon.image" (dict "root" .root "image" .root.Values.image) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- include "kotaemon.container.security" . | nindent 2 }}
{{- end }}

{{/* Others' images: {root, image} */}}
{{- define "kotaemon.container.other" -}}
image: {{ include "kotaemon.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- include "kotaemon.container.security" . | nindent 2 }}
{{- end }}

{{/* {root, part}: at most one pod of it is evicted at a time, and a broken one always may be. */}}
{{- define "kotaemon.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "kotaemon.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "kotaemon.selector" . | nindent 6 }}
{{- end }}
