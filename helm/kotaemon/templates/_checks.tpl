{{/* Contradictions between values, refused with advice. One line a rule; tests try each. */}}

{{- define "kotaemon.checks" -}}
{{- $worker := .Values.worker -}}
{{- $scaling := .Values.autoscaling -}}
{{- $scaled := ne $scaling.mode "none" -}}
{{/* LEAVE_WAIT_S, gunicorn's graceful_timeout, and room. */}}
{{- $leaves := add 5 30 10 | int -}}
{{- if lt (int $worker.terminationGracePeriodSeconds) $leaves -}}
{{- fail (printf "worker.terminationGracePeriodSeconds is %d, but a worker may need %d seconds to leave: 5 until the balancers know, 30 for running turns, 10 to spare; set it to %d or more." (int $worker.terminationGracePeriodSeconds) $leaves $leaves) -}}
{{- end -}}
{{- if le (int .Values.haproxy.timeoutServerSeconds) 60 -}}
{{- fail "haproxy.timeoutServerSeconds must be more than 60, three heartbeats of an idle stream (20 s), or the balancer cuts streams that are well; 75 is the default." -}}
{{- end -}}
{{- if and $scaled (gt (int $scaling.maxReplicas) (int $worker.slots)) -}}
{{- fail (printf "autoscaling.maxReplicas is %d, but the balancer has %d server lines; set worker.slots to %d or more." (int $scaling.maxReplicas) (int $worker.slots) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if and $scaled (lt (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- fail "autoscaling.maxReplicas is less than autoscaling.minReplicas; set it to at least as many." -}}
{{- end -}}
{{- if and (not $scaled) (gt (int $worker.replicas) (int $worker.slots)) -}}
{{- fail (printf "worker.replicas is %d, but the balancer has %d server lines; set worker.slots to %d or more." (int $worker.replicas) (int $worker.slots) (int $worker.replicas)) -}}
{{- end -}}
{{- if eq $scaling.mode "keda" -}}
{{- if not $scaling.prometheus -}}
{{- fail "autoscaling.mode is keda, which asks Prometheus; set autoscaling.prometheus to its address, as http://prometheus.monitoring:9090." -}}
{{- end -}}
{{- if lt (int $scaling.minReplicas) 2 -}}
{{- fail "autoscaling.mode is keda: set autoscaling.minReplicas to 2 or more, so that a pod that dies is not the only one." -}}
{{- end -}}
{{- end -}}
{{- if and $scaled (not (dig "requests" "cpu" "" $worker.resources)) -}}
{{- fail (printf "autoscaling.mode is %s, which counts CPU as a share of what a worker asks for; set worker.resources.requests.cpu." $scaling.mode) -}}
{{- end -}}
{{- if and (eq .Values.auth.mode "oidc") (not .Values.auth.oidc.existingSecret) -}}
{{- fail "auth.mode is oidc; set auth.oidc.existingSecret to a secret that holds oidc.yaml, which describes the issuers: docs/how-to/oidc.md." -}}
{{- end -}}
{{- include "kotaemon.checks.stores" . -}}
{{- include "kotaemon.checks.rest" . -}}
{{- end }}

{{- define "kotaemon.checks.stores" -}}
{{- $redis := .Values.redis -}}
{{- $external := $redis.external -}}
{{- if eq $redis.mode "external" -}}
{{- $given := list -}}
{{- range $key := list "url" "sentinels" "nodes" }}{{ if get $external $key }}{{ $given = append $given $key }}{{ end }}{{ end -}}
{{- if ne (len $given) 1 -}}
{{- fail (printf "redis.mode is external: set one of redis.external.url, .sentinels or .nodes; %d are set." (len $given)) -}}
{{- end -}}
{{- if contains "@" $external.url -}}
{{- fail "redis.external.url holds a password; put it into a secret as redis-password and name that in redis.external.existingSecret." -}}
{{- end -}}
{{- if and $external.tls $external.url (not (hasPrefix "rediss://" $external.url)) -}}
{{- fail "redis.external.tls is for sentinels and nodes: begin redis.external.url with rediss:// instead." -}}
{{- end -}}
{{- if and (or $external.caSecret $external.certSecret) (not (or $external.tls (hasPrefix "rediss://" $external.url))) -}}
{{- fail "redis.external.caSecret and .certSecret are for TLS: begin redis.external.url with rediss://, or set redis.external.tls for sentinels and nodes." -}}
{{- end -}}
{{- if and (or $external.sentinelAuth $external.username $external.users) (not $external.existingSecret) -}}
{{- fail "redis.external: users or the sentinels' password need redis.external.existingSecret." -}}
{{- end -}}
{{- if and $external.users $external.username -}}
{{- fail "redis.external.users and .username are both set; with users each part has a name of its own: leave username empty." -}}
{{- end -}}
{{- else -}}
{{- if eq .Values.durability "replica" -}}
{{- fail "durability is replica, but the bundled Redis has none; use durability=fsync, or a Redis of yours with redis.mode=external." -}}
{{- end -}}
{{- if and (eq .Values.durability "fsync") (eq $redis.bundled.appendfsync "everysec") -}}
{{- fail "durability is fsync, but redis.bundled.appendfsync is everysec; leave that empty or set it to always." -}}
{{- end -}}
{{- end -}}
{{- $kafka := .Values.kafka -}}
{{- if eq $kafka.mode "external" -}}
{{- if not $kafka.external.bootstrapServers -}}
{{- fail "kafka.mode is external: set kafka.external.bootstrapServers to host:port,host:port." -}}
{{- end -}}
{{- $sasl := hasPrefix "SASL" $kafka.external.securityProtocol -}}
{{- if and $sasl (not (and (or $kafka.external.username $kafka.external.users) $kafka.external.existingSecret)) -}}
{{- fail (printf "kafka.external.securityProtocol is %s: set kafka.external.username (or .users), and kafka.external.existingSecret to a secret with kafka-password." $kafka.external.securityProtocol) -}}
{{- end -}}
{{- if and $kafka.external.users (or $kafka.external.username (not $sasl)) -}}
{{- fail "kafka.external.users is for SASL, and gives each part a name of its own: set kafka.external.securityProtocol to SASL_SSL, and leave kafka.external.username empty." -}}
{{- end -}}
{{- if and (or $kafka.external.caSecret $kafka.external.certSecret) (not (hasSuffix "SSL" $kafka.external.securityProtocol)) -}}
{{- fail "kafka.external.caSecret and .certSecret are for TLS: set kafka.external.securityProtocol to SSL or SASL_SSL." -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.artifacts.mode "s3") (not (hasPrefix "s3://" .Values.artifacts.s3.url)) -}}
{{- fail "artifacts.mode is s3: set artifacts.s3.url to s3://bucket/prefix." -}}
{{- end -}}
{{- end }}

{{- define "kotaemon.checks.rest" -}}
{{- $secrets := .Values.secrets -}}
{{- if $secrets.externalSecret.enabled -}}
{{- if $secrets.existingSecret -}}
{{- fail "secrets.existingSecret and secrets.externalSecret.enabled are both set; use one of them." -}}
{{- end -}}
{{- if not (and $secrets.externalSecret.storeRef.name $secrets.externalSecret.key) -}}
{{- fail "secrets.externalSecret.enabled: set secrets.externalSecret.storeRef.name and secrets.externalSecret.key." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled: name the gateway in httpRoute.parentRefs, as [{name: …, namespace: …}]." -}}
{{- end -}}
{{- $tls := .Values.tls -}}
{{- if $tls.enabled -}}
{{- if and (not $tls.existingSecret) (not (and $tls.certificate.issuerRef.name $tls.certificate.dnsNames)) -}}
{{- fail "tls.enabled: name a secret with tls.crt and tls.key in tls.existingSecret, or have cert-manager make one: tls.certificate.issuerRef.name and tls.certificate.dnsNames." -}}
{{- end -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled -}}
{{- fail "tls.enabled together with ingress or httpRoute: those end TLS themselves and would be led to https for ever; leave tls off, or publish the service instead (service.type)." -}}
{{- end -}}
{{- else if and .Values.ingress.enabled .Values.ingress.tls (not .Values.haproxy.trustedProxies) -}}
{{- fail "ingress.tls: name the networks of the ingress in haproxy.trustedProxies, as [10.0.0.0/8]; without, its word that a client came by TLS does not count, and cookies are not kept to TLS." -}}
{{- end -}}
{{- if and (gt (int .Values.buildWorker.replicas) 0) (or (eq .Values.kafka.mode "none") (and (ne .Values.artifacts.mode "s3") (ne .Values.coordinator.volume.accessMode "ReadWriteMany"))) -}}
{{- fail "buildWorker.replicas: build workers need Kafka, and a store that they can write to: artifacts.mode=s3, or coordinator.volume.accessMode=ReadWriteMany." -}}
{{- end -}}
{{- if and .Values.tools (not .Values.llm.baseUrl) -}}
{{- fail "tools are called by a language model: set llm.baseUrl, or leave tools empty." -}}
{{- end -}}
{{- if and .Values.encoder.existingSecret (not .Values.encoder.url) -}}
{{- fail "encoder.existingSecret is the key of an encoder elsewhere: set encoder.url, or leave it empty." -}}
{{- end -}}
{{- range $name, $_ := .Values.config -}}
{{- if has $name (list "REDIS_URL" "CLUSTER_ID" "POD_NAME" "POD_ADDRESS" "LEAVE_PORT" "GRPC_PORT" "ARTIFACT_URL" "COORDINATOR_ARTIFACT_URL" "TRUSTED_KEYS" "SIGNING_KEY_FILE") -}}
{{- fail (printf "config.%s is set by the chart itself; use the value made for it (README), or extraEnv where you know better." $name) -}}
{{- end -}}
{{- if regexMatch "(PASSWORD|TOKEN|_KEY|RABBITMQ_URL|OTLP_HEADERS)$" $name -}}
{{- fail (printf "config.%s is a secret; give it by extraEnv with valueFrom.secretKeyRef." $name) -}}
{{- end -}}
{{- if not (has $name ($.Files.Lines "files/settings")) -}}
{{- fail (printf "config.%s is no setting of version %s; docs/reference/settings.md lists them. Any other variable of a pod's environment goes into extraEnv." $name $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end }}
