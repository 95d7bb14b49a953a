{{/* As kotaemon_node/local/broker.py writes it: one node that is broker and controller. */}}
{{- define "kotaemon.kafka.config" -}}
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
# Who comes from outside this pod is a user with a password and with rights. Within it there is no
# login: the broker speaks to itself, and the container beside it grants the rights.
listeners=PARTS://0.0.0.0:9092,OWN://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093
advertised.listeners=PARTS://{{ include "kotaemon.fullname" . }}-kafka:9092,OWN://127.0.0.1:9094
controller.listener.names=CONTROLLER
inter.broker.listener.name=OWN
listener.security.protocol.map=PARTS:SASL_PLAINTEXT,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.parts.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS
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
