"""The chart is closed by default: pods without privileges, secrets where they belong, few doors."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate

from tests.helm_chart import (
    EXAMPLES,
    PRESETS,
    F,
    Object,
    containers,
    environment,
    kinds,
    one,
    pods,
    rendered,
)

EVERYTHING = [(), *((path,) for path in (*PRESETS, *EXAMPLES))]
REDIS_USERS = ("worker", "coordinator", "turn-log", "backup")
KEYS = {"admin-key", "artifact-token", "redis-password", "signing.crt", "signing.pem"}
KEYS |= {f"redis-{user}-password" for user in REDIS_USERS}
KEYS |= {f"kafka-{user}-password" for user in ("worker", "coordinator", "turn-log")}
ALL_ON = next(path for path in EXAMPLES if path.name == "all-values.yaml")


@pytest.mark.parametrize("files", EVERYTHING, ids=lambda files: files[0].name if files else "none")
def test_every_pod_meets_the_restricted_profile(files: tuple[Any, ...]) -> None:
    found = list(pods(rendered(*files)))

    assert len(found) >= 4
    for name, spec in found:
        assert spec["automountServiceAccountToken"] is False, name
        secured = spec["securityContext"]
        assert secured["runAsNonRoot"], name
        assert secured["runAsUser"] > 0, name
        assert secured["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(spec):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["readOnlyRootFilesystem"] is True, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"], name
        volumes = [set(volume) - {"name"} for volume in spec.get("volumes", ())]
        assert all(
            kind <= {"emptyDir", "configMap", "secret", "persistentVolumeClaim"} for kind in volumes
        ), name


def test_nobody_gets_in_without_a_key_unless_that_is_asked_for() -> None:
    worker = dict(pods(rendered()))[f"StatefulSet {F}-worker"]

    told = environment(worker["containers"][0])
    assert told["AUTH_MODE"] == "keys"
    assert told["ADMIN_KEY_FILE"] == "/etc/kotaemon/admin/admin-key"
    assert mounted(worker)["/etc/kotaemon/admin"]["items"] == [
        {"key": "admin-key", "path": "admin-key"}
    ]


def mounted(spec: Object) -> dict[str, Mapping[str, Any]]:
    """Return the secrets that a pod's containers see, by path."""
    volumes = {volume["name"]: volume.get("secret") for volume in spec["volumes"]}
    return {
        mount["mountPath"]: volumes[mount["name"]]
        for container in containers(spec)
        for mount in container["volumeMounts"]
        if volumes.get(mount["name"])
    }


def test_only_coordinators_see_the_private_signing_key() -> None:
    seen = set()
    for name, spec in pods(rendered(ALL_ON)):
        for secret in mounted(spec).values():
            assert secret.get("items") or not secret["secretName"].endswith("-secrets"), name
            if any(item["key"] == "signing.pem" for item in secret.get("items", ())):
                seen.add(name)
        text = repr(spec)
        assert "BEGIN PRIVATE KEY" not in text

    assert seen == {f"StatefulSet {F}-coordinator", f"Deployment {F}-build-worker"}


def test_made_secrets_are_a_key_pair_and_strong_words() -> None:
    first, second = (
        one(rendered(sets=sets), "Secret", f"{F}-secrets") for sets in ((), ("test={}",))
    )
    made = {name: base64.b64decode(value) for name, value in first["data"].items()}
    other = {name: base64.b64decode(value) for name, value in second["data"].items()}

    assert made.keys() == KEYS
    # Kept byte for byte, or the next upgrade would take them for changed and restart everything.
    assert made["signing.pem"].endswith(b"-----END PRIVATE KEY-----\n")
    assert all(made[name] != other[name] for name in KEYS)
    assert min(map(len, made.values())) >= 32
    for name in KEYS:
        if name.startswith(("redis-", "kafka-")):
            assert made[name].isalnum()  # it stands in a URL and in redis.conf
    private = serialization.load_pem_private_key(made["signing.pem"], password=None)
    certificate = load_pem_x509_certificate(made["signing.crt"])
    assert raw(private.public_key()) == raw(certificate.public_key())


def test_all_pods_are_marked_with_the_secrets_that_are_made() -> None:
    marks = {
        it["spec"]["template"]["metadata"]["annotations"]["checksum/secrets"]
        for it in rendered()
        if it["kind"] == "StatefulSet"
    }

    assert len(marks) == 1  # made once: each call would have made others


def raw(key: Any) -> bytes:
    done: bytes = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return done


def test_secrets_of_ones_own_are_neither_made_nor_needed() -> None:
    objects = rendered(sets=('secrets.existingSecret="mine"',))

    assert kinds(objects, "Secret") == []
    named = {
        source["secretKeyRef"]["name"]
        for _, spec in pods(objects)
        for container in containers(spec)
        for source in environment(container).values()
        if isinstance(source, dict) and "secretKeyRef" in source
    }
    assert named == {"mine"}
    # Each part sees its own of it, and Redis starts where a password is missing.
    mounted = {
        (name, volume["name"]): volume["secret"]
        for name, spec in pods(objects)
        for volume in spec.get("volumes", ())
        if "secret" in volume
    }
    assert {secret["secretName"] for secret in mounted.values()} == {"mine"}
    assert all(secret.get("items") for secret in mounted.values())
    for part in ("worker", "coordinator"):
        keys = mounted[f"StatefulSet {F}-{part}", "audit"]["items"]
        assert [it["key"] for it in keys] == ["audit.keys"]
    assert mounted[f"StatefulSet {F}-redis", "passwords"]["optional"] is True


def test_an_external_secret_fills_the_name_that_pods_read() -> None:
    restricted = next(path for path in PRESETS if path.name == "restricted.yaml")
    objects = rendered(restricted)

    assert kinds(objects, "Secret") == []
    made = one(objects, "ExternalSecret", f"{F}-secrets")
    assert made["spec"]["target"]["name"] == f"{F}-secrets"


def test_only_named_parts_reach_each_other() -> None:
    objects = rendered()
    names = kinds(objects, "NetworkPolicy")
    assert names == [
        f"{F}-{part}"
        for part in ("coordinator", "default-deny", "haproxy", "kafka", "redis", "test", "worker")
    ]
    everybody = one(objects, "NetworkPolicy", f"{F}-default-deny")["spec"]
    assert everybody["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in everybody
    assert {port["port"] for rule in everybody["egress"] for port in rule["ports"]} == {53, 5353}

    redis = one(objects, "NetworkPolicy", f"{F}-redis")["spec"]["ingress"]
    assert [rule["ports"] for rule in redis] == [[{"protocol": "TCP", "port": 6379}]]
    assert who(redis[0]["from"]) == {"worker", "coordinator", "build-worker", "backup"}
    workers = one(objects, "NetworkPolicy", f"{F}-worker")["spec"]
    assert who(workers["ingress"][0]["from"]) == {"haproxy", "worker", "monitoring"}
    # No rule of theirs is open to everywhere: nothing outside is used.
    assert all("to" in rule for rule in workers["egress"])


@pytest.mark.parametrize("files", EVERYTHING, ids=lambda files: files[0].name if files else "none")
def test_pods_are_reached_by_the_balancer_each_other_and_prometheus_alone(
    files: tuple[Any, ...],
) -> None:
    """What goes to pods is not encrypted: it is this that keeps others from port 8000."""
    policies = [it["spec"] for it in rendered(*files) if it["kind"] == "NetworkPolicy"]
    if not policies:
        return  # networkPolicy.enabled=false: somebody else's network sees to it
    pod = {
        "app.kubernetes.io/name": "kotaemon",
        "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/component": "worker",
    }
    coming = [
        spec
        for spec in policies
        if selects(spec["podSelector"], pod) and "Ingress" in spec["policyTypes"]
    ]
    assert coming, "a pod that no policy selects is open to everybody"
    rules = [rule for spec in coming for rule in spec.get("ingress", [])]
    allowed: dict[int, set[str]] = {}
    for rule in rules:
        assert rule.get("from"), "nobody named is everybody"
        assert rule.get("ports"), "no port named is every port"
        for port in rule["ports"]:
            allowed.setdefault(port["port"], set()).update(who(rule["from"]))
    assert allowed.pop(8000) == {"haproxy", "worker", "monitoring"}
    # gRPC, where it is on; the port by which a pod is told to leave is nobody's.
    assert allowed in ({}, {9090: {"haproxy"}})


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Tell whether a selector is for a pod of these labels, as Kubernetes reads it."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for term in selector.get("matchExpressions", []):
        assert term["operator"] == "In"
        if labels.get(term["key"]) not in term["values"]:
            return False
    return True


def who(peers: list[Object]) -> set[str]:
    """Return the parts that a rule names, and the namespaces."""
    labels = [next(iter(peer.values()))["matchLabels"] for peer in peers]
    return {
        each.get("app.kubernetes.io/component") or each["kubernetes.io/metadata.name"]
        for each in labels
    }


@pytest.mark.parametrize(
    ("name", "ports"),
    [("external-values.yaml", {6379, 9093, 9000}), ("all-values.yaml", {4318, 8000, 8100})],
)
def test_servers_outside_are_reached_at_their_ports(name: str, ports: set[int]) -> None:
    example = next(path for path in EXAMPLES if path.name == name)
    worker = one(rendered(example), "NetworkPolicy", f"{F}-worker")["spec"]

    open_ports = [
        {port["port"] for port in rule["ports"]} for rule in worker["egress"] if "to" not in rule
    ]
    assert open_ports[0] == ports


def test_issuers_lie_in_a_secret_that_only_workers_see() -> None:
    sets = ('auth={"mode":"oidc","oidc":{"existingSecret":"login"}}',)
    found = rendered(sets=sets)

    worker = one(found, "StatefulSet", f"{F}-worker")["spec"]["template"]["spec"]
    told = environment(worker["containers"][0])
    assert (told["AUTH_MODE"], told["OIDC_FILE"]) == ("oidc", "/etc/kotaemon/oidc/oidc.yaml")
    users = [name for name, spec in pods(found) if "'secretName': 'login'" in str(spec)]
    assert users == [f"StatefulSet {F}-worker"]
    # They alone fetch its keys, from an address that the chart does not know.
    ways = {
        part: {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        for part in ("worker", "coordinator")
        for policy in [one(found, "NetworkPolicy", f"{F}-{part}")]
    }
    assert 443 in ways["worker"]
    assert 443 not in ways["coordinator"]


def test_backups_are_written_into_the_audit_log() -> None:
    jobs = [it for it in pods(rendered(sets=("backup.enabled=true",))) if "CronJob" in it[0]]

    assert len(jobs) == 2
    for _, spec in jobs:
        (container,) = containers(spec)
        assert environment(container)["AUDIT_KEY_FILE"] == "/etc/kotaemon/audit/audit.keys"
        assert "/etc/kotaemon/audit" in [it["mountPath"] for it in container["volumeMounts"]]
        assert "audit" in [it["name"] for it in spec["volumes"]]
