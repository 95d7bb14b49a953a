"""Values that cannot work are refused before anything is installed, with what to do instead."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import yaml

from kotaemon_node.domain import limits
from tests.helm_chart import CHART, ROOT, Object, refusal, rendered

# What is set → words of the advice.
REFUSED: Final[dict[tuple[str, ...], str]] = {
    ("worker.terminationGracePeriodSeconds=44",): "set it to 45 or more",
    ("haproxy.timeoutServerSeconds=60",): "three heartbeats of an idle stream",
    ('autoscaling={"mode":"cpu","maxReplicas":17}',): "set worker.slots to 17 or more",
    ('autoscaling={"mode":"cpu","minReplicas":9}',): "less than autoscaling.minReplicas",
    ("worker.replicas=17",): "set worker.slots to 17 or more",
    ('auth.mode="oidc"',): "set auth.oidc.existingSecret",
    ('autoscaling.mode="keda"',): "set autoscaling.prometheus",
    ('autoscaling={"mode":"keda","prometheus":"http://p","minReplicas":1}',): "to 2 or more",
    ('autoscaling.mode="cpu"', "worker.resources.requests.cpu=null"): "requests.cpu",
    ('redis.mode="external"',): "set one of redis.external.url",
    ('redis={"mode":"external","external":{"url":"redis://r","nodes":["r:1"]}}',): "2 are set",
    ('redis={"mode":"external","external":{"url":"redis://:pw@r"}}',): "holds a password",
    ('redis={"mode":"external","external":{"url":"redis://r","caSecret":"c"}}',): "rediss://",
    ('redis={"mode":"external","external":{"nodes":["r:1"],"username":"u"}}',): "existingSecret",
    ('durability="replica"',): "the bundled Redis has none",
    ('durability="fsync"', 'redis.bundled.appendfsync="everysec"'): "set it to always",
    ('kafka.mode="external"',): "set kafka.external.bootstrapServers",
    (
        'kafka={"mode":"external","external":{"bootstrapServers":"k:1",'
        '"securityProtocol":"SASL_SSL"}}',
    ): "a secret with kafka-password",
    ('artifacts.mode="s3"',): "set artifacts.s3.url to s3://bucket/prefix",
    ('secrets={"existingSecret":"s","externalSecret":{"enabled":true}}',): "use one of them",
    ("secrets.externalSecret.enabled=true",): "storeRef.name and",
    ("httpRoute.enabled=true",): "name the gateway in httpRoute.parentRefs",
    ("tls.enabled=true",): "tls.certificate.issuerRef.name and",
    ("tls.enabled=true", 'tls.existingSecret="t"', "ingress.enabled=true"): "leave tls off",
    ("ingress.enabled=true", 'ingress.tls=[{"secretName":"t"}]'): "in haproxy.trustedProxies",
    ("buildWorker.replicas=1",): "coordinator.volume.accessMode=ReadWriteMany",
    (
        "buildWorker.replicas=1",
        'kafka.mode="none"',
        'artifacts={"mode":"s3","s3":{"url":"s3://b"}}',
    ): ("build workers need Kafka"),
    ('tools="tools: []"',): "set llm.baseUrl",
    ('encoder.existingSecret="key"',): "set encoder.url",
    ('config={"POD_ADDRESS":"x"}',): "is set by the chart itself",
    ('config={"KAFKA_PASSWORD":"x"}',): "valueFrom.secretKeyRef",
    ('config={"OTEL_EXPORTER_OTLP_HEADERS":"x=y"}',): "valueFrom.secretKeyRef",
    ('config={"LLM_MODL":"x"}',): "LLM_MODL is no setting of version",
    # The schema: names and kinds.
    ("worker.replica=3",): "'replica' not allowed",
    ('autoscaling.mode="on"',): "/autoscaling/mode",
    ('worker.extraEnv=[{"value":"x"}]',): "/worker/extraEnv/0",
    ('image.digest="latest"',): "/image/digest",
    ('worker.resources.limits.memory="512m"',): "/worker/resources/limits/memory",
    ("coordinator.volume.size=20",): "/coordinator/volume/size",
    ("ingres.enabled=true",): "'ingres' not allowed",
}


def test_each_contradiction_is_refused_with_advice() -> None:
    with ThreadPoolExecutor(max_workers=2) as both:
        said = dict(zip(REFUSED, both.map(lambda sets: refusal(*sets), REFUSED), strict=True))

    # Helm breaks no lines, but some versions quote what a template said.
    wrong = {sets: said[sets] for sets, advice in REFUSED.items() if advice not in said[sets]}
    assert wrong == {}


def test_every_rule_has_a_case_here() -> None:
    rules = (CHART / "templates" / "_checks.tpl").read_text("utf-8").count("{{- fail ")

    assert len([advice for advice in REFUSED.values() if " not allowed" not in advice]) >= rules


def test_values_at_the_border_are_taken() -> None:
    assert rendered(
        sets=(
            "worker.terminationGracePeriodSeconds=45",
            "haproxy.timeoutServerSeconds=61",
            'durability="fsync"',
            'autoscaling={"mode":"cpu","maxReplicas":16}',
            'config={"LOG_LEVEL":"debug","OPENAI_BASE_URL":"https://models.example.com/v1"}',
            "worker.resources.limits.memory=2147483648",
            'redis.bundled.resources={"limits":{"memory":"1048576Ki","cpu":"500m"}}',
        )
    )


def test_the_seconds_of_the_rules_are_those_of_the_program() -> None:
    text = (CHART / "templates" / "_checks.tpl").read_text("utf-8")

    # Read and not imported: gunicorn's configuration changes the process that it is loaded into.
    configuration = (ROOT / "kotaemon_node" / "server" / "gunicorn_conf.py").read_text("utf-8")
    graceful = re.search(r"^graceful_timeout = (\d+)$", configuration, re.M)
    assert graceful is not None
    assert f"add {limits.LEAVE_WAIT_S:.0f} {graceful[1]} 10" in text
    assert f"haproxy.timeoutServerSeconds) {3 * limits.HEARTBEAT_IDLE_S:.0f}" in text


def test_the_schema_knows_every_value_and_no_other() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))

    assert list(differences(schema, values, schema["$defs"])) == []
    assert list(differences(schema, {**values, "other": 1}, schema["$defs"])) == ["/other"]


def differences(
    schema: Object, values: dict[str, Any], shared: dict[str, Object], at: str = ""
) -> Iterator[str]:
    """Yield the paths that only one of the two has; free maps are none."""
    known = schema["properties"]
    yield from (f"{at}/{name}" for name in known.keys() ^ values.keys())
    for name in known.keys() & values.keys():
        inner, value = known[name], values[name]
        if "$ref" in inner:
            inner = shared[inner["$ref"].rpartition("/")[2]]
            if inner is shared["pod"] or inner is shared["resources"]:
                continue
        if "properties" in inner and isinstance(value, dict):
            yield from differences(inner, value, shared, f"{at}/{name}")
