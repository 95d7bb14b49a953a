{{/* As kotaemon_node/local/broker.py writes it: one node that is broker and controller. */}}
{{- define "kotaemon.kafka.config" -}}
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093
advertised.listeners=PLAINTEXT://{{ include "kotaemon.fullname" . }}-kafka:9092
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
# Not the volume itself: a file system of its own has lost+found, which is no topic.
log.dirs=/var/lib/kafka/data
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=false
# A killed broker may register again when its last session has expired: 9 s by default.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.segment.bytes=67108864
{{- end }}
