{{/* Names and labels. Every object is `F` or `F-<part>`; F is the full name. */}}

{{- define "kotaemon.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* At most 40 letters: the longest name of a pod must fit into a label of 63. */}}
{{- define "kotaemon.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "kotaemon.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* By these a service, a policy or a set finds its pods; they never change. */}}
{{- define "kotaemon.selector" -}}
app.kubernetes.io/name: {{ include "kotaemon.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .part }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "kotaemon.labels" -}}
{{ include "kotaemon.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* metadata of an object of its own: {root, part, name?} */}}
{{- define "kotaemon.metadata" -}}
{{- $name := include "kotaemon.fullname" .root -}}
name: {{ .name | default (ternary (printf "%s-%s" $name .part) $name (ne (.part | default "") "")) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "kotaemon.labels" . | nindent 2 }}
{{- end }}

{{- define "kotaemon.serviceAccount" -}}
{{- $own := ternary (include "kotaemon.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end }}

{{- define "kotaemon.secret" -}}
{{- .Values.secrets.existingSecret | default (printf "%s-secrets" (include "kotaemon.fullname" .)) -}}
{{- end }}

{{/* Where the balancer's certificate is: yours, or the one that cert-manager makes. */}}
{{- define "kotaemon.tls.secret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "kotaemon.fullname" .)) -}}
{{- end }}

{{/* By it a balancer's check tells our pods from a stranger's. */}}
{{- define "kotaemon.clusterId" -}}
{{- printf "%s-%s" .Release.Namespace (include "kotaemon.fullname" .) -}}
{{- end }}

{{/* {root, image}: registry/repository:tag@digest */}}
{{- define "kotaemon.image" -}}
{{- $name := .image.repository -}}
{{- with .root.Values.global.imageRegistry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* {root, size, accessMode?, storageClass?}: spec of a claim */}}
{{- define "kotaemon.claim" -}}
accessModes: [{{ .accessMode | default "ReadWriteOnce" }}]
{{- with .storageClass | default .root.Values.global.storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end }}
