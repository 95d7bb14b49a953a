"""How the chart's pods find Redis and Kafka, its own and yours, and who they are there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from kotaemon_node.adapters.kafka import KafkaAddress
from kotaemon_node.adapters.redis.address import StoreAddress
from kotaemon_node.settings import Settings
from tests.helm_chart import EXAMPLES, F, containers, environment, pods, refusal, rendered

FILES: Mapping[str, Path] = {path.name: path for path in EXAMPLES}
ALL_ON = FILES["all-values.yaml"]
PARTS = {
    f"StatefulSet {F}-worker": "worker",
    f"StatefulSet {F}-coordinator": "coordinator",
    f"Deployment {F}-build-worker": "coordinator",
    f"Deployment {F}-turn-log": "turn-log",
}
EVERYBODY = PARTS | {f"CronJob {F}-backup-{kind}": "backup" for kind in ("full", "incr")}
EXTERNAL = ("buildWorker.replicas=1", 'turnLog.to="file:/t"', "backup.enabled=true")


def told(objects: list[dict[str, Any]], pod: str) -> Mapping[str, Any]:
    """Return the environment of a pod's own container."""
    spec = dict(pods(objects))[pod]
    return environment(containers(spec)[-1])


def secret(entry: Any) -> tuple[str, str]:
    named = entry["secretKeyRef"]
    return named["name"], named["key"]


def external(**told: Any) -> str:
    """Return values of a Redis of yours."""
    return f"redis={json.dumps({'mode': 'external', 'external': told})}"


@pytest.mark.parametrize("pod", PARTS)
def test_each_part_is_a_user_of_its_own_in_the_bundled_kafka(pod: str) -> None:
    found = told(rendered(ALL_ON), pod)
    user = PARTS[pod]

    assert found["KAFKA_USERNAME"] == user
    assert secret(found["KAFKA_PASSWORD"]) == (f"{F}-secrets", f"kafka-{user}-password")
    assert found["KAFKA_SECURITY_PROTOCOL"] == "SASL_PLAINTEXT"
    assert found["KAFKA_SASL_MECHANISM"] == "SCRAM-SHA-512"


def test_backups_are_no_user_of_kafka() -> None:
    for objects in (rendered(ALL_ON), rendered(FILES["external-values.yaml"], sets=EXTERNAL)):
        found = told(objects, f"CronJob {F}-backup-full")
        assert found["KAFKA_BOOTSTRAP_SERVERS"] == ""
        assert not {"KAFKA_USERNAME", "KAFKA_PASSWORD"} & set(found)


@pytest.mark.parametrize("pod", EVERYBODY)
def test_each_part_is_a_user_of_its_own_in_stores_of_yours_too(pod: str) -> None:
    """What is rendered is read as the programs read it."""
    found = told(rendered(FILES["external-values.yaml"], sets=EXTERNAL), pod)
    user = EVERYBODY[pod]

    assert secret(found["REDIS_PASSWORD"]) == ("redis", f"redis-{user}-password")
    address = StoreAddress.of(found["REDIS_URL"].replace("$(REDIS_PASSWORD)", "pw"))
    assert (address.kind, address.tls) == ("cluster", True)
    assert address.credentials == {"username": user, "password": "pw"}
    assert address.files == {
        "ssl_ca_certs": "/etc/kotaemon/redis-ca/ca.crt",
        "ssl_certfile": "/etc/kotaemon/redis-cert/tls.crt",
        "ssl_keyfile": "/etc/kotaemon/redis-cert/tls.key",
    }
    if user == "backup":
        return
    assert secret(found["KAFKA_PASSWORD"]) == ("kafka", f"kafka-{user}-password")
    given = {name.lower(): text for name, text in found.items() if isinstance(text, str)}
    kafka = KafkaAddress.of(
        Settings.model_validate(
            {name: text for name, text in given.items() if name.startswith("kafka_")}
        )
    )
    assert (kafka.security_protocol, kafka.username) == ("SASL_SSL", user)
    assert str(kafka.cert_file) == "/etc/kotaemon/kafka-cert/tls.crt"
    assert str(kafka.key_file) == "/etc/kotaemon/kafka-cert/tls.key"


def test_certificates_are_mounted_where_they_are_named() -> None:
    wanted = {"kafka-ca", "kafka-cert", "redis-ca", "redis-cert"}
    for pod, spec in pods(rendered(FILES["external-values.yaml"], sets=EXTERNAL)):
        if pod not in EVERYBODY:
            continue
        volumes = {
            it["name"]: it["secret"]["secretName"] for it in spec["volumes"] if "secret" in it
        }
        assert {name: volumes[name] for name in wanted} == {name: name for name in wanted}
        mounts = {it["name"]: it for it in containers(spec)[-1]["volumeMounts"]}
        for name in wanted:
            assert mounts[name]["mountPath"] == f"/etc/kotaemon/{name}", pod
            assert mounts[name]["readOnly"], pod


def test_sentinels_speak_tls_and_keep_their_own_password() -> None:
    values = external(
        sentinels=["s-0:26379", "s-1:26379"],
        sentinelAuth=True,
        tls=True,
        existingSecret="redis",
        caSecret="ca",
        certSecret="cert",
    )
    found = told(rendered(sets=(values,)), f"StatefulSet {F}-worker")
    url = found["REDIS_URL"].replace("$(REDIS_PASSWORD)", "pw")
    address = StoreAddress.of(url.replace("$(REDIS_SENTINEL_PASSWORD)", "own"))

    assert (address.kind, address.tls, address.service) == ("sentinel", True, "mymaster")
    assert address.hosts == (("s-0", 26379), ("s-1", 26379))
    assert address.sentinel_password == "own"
    assert set(address.files) == {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}


def test_one_user_for_all_is_what_you_get_unless_you_ask() -> None:
    values = external(url="rediss://r:6380/0", username="shop", existingSecret="redis")
    objects = rendered(sets=(values, "backup.enabled=true"))

    for pod in (
        f"StatefulSet {F}-worker",
        f"StatefulSet {F}-coordinator",
        f"CronJob {F}-backup-full",
    ):
        found = told(objects, pod)
        assert urlsplit(found["REDIS_URL"]).username == "shop"
        assert secret(found["REDIS_PASSWORD"]) == ("redis", "redis-password")


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (external(nodes=["r:1"], certSecret="c"), "set redis.external.tls"),
        (external(url="redis://r", tls=True), "rediss:// instead"),
        (external(url="redis://r", users=True), "existingSecret"),
        (external(url="redis://r", users=True, username="u", existingSecret="s"), "leave username"),
        (
            'kafka={"mode":"external","external":{"bootstrapServers":"k:1","certSecret":"c"}}',
            "SSL or SASL_SSL",
        ),
        (
            'kafka={"mode":"external","external":{"bootstrapServers":"k:1","users":true}}',
            "set kafka.external.securityProtocol to SASL_SSL",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_with_advice(value: str, advice: str) -> None:
    assert advice in refusal(value)
