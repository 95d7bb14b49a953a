"""What the chart makes of its values: workers, balancers, coordinators, stores, autoscalers."""

from typing import Any

import pytest

from coordinator.settings import CoordinatorSettings
from kotaemon_node.adapters.redis.address import StoreAddress
from kotaemon_node.local.broker import broker_config
from tests.helm_chart import (
    EXAMPLES,
    PRESETS,
    F,
    Object,
    containers,
    environment,
    files_of,
    kinds,
    one,
    pods,
    rendered,
)

FILES = {path.name: path for path in (*PRESETS, *EXAMPLES)}
ALL_ON = FILES["all-values.yaml"]


def told(objects: list[Object], part: str, kind: str = "StatefulSet") -> dict[str, Any]:
    """Return the environment of a part's main container."""
    return dict(environment(dict(pods(objects))[f"{kind} {F}-{part}"]["containers"][0]))


def test_a_worker_is_the_slot_that_the_balancer_knows() -> None:
    objects = rendered()
    workers = one(objects, "StatefulSet", f"{F}-worker")["spec"]
    service = one(objects, "Service", f"{F}-worker")["spec"]
    settings = told(objects, "worker")

    assert workers["podManagementPolicy"] == "Parallel"
    assert workers["replicas"] == 3
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert settings["POD_NAME"] == "worker-$(POD_INDEX)"
    assert settings["POD_ADDRESS"] == "$(POD_IP):8000"
    lines = files_of(objects, f"{F}-haproxy")["haproxy.cfg"].splitlines()
    servers = [line.split() for line in lines if line.strip().startswith("server worker-")]
    assert [(line[1], line[3:5]) for line in servers] == [
        (f"worker-{slot}", ["id", str(slot + 1)]) for slot in range(16)
    ]
    assert servers[2][2] == f"{F}-worker-2.{F}-worker.shops.svc.cluster.local:8000"
    check = next(line for line in lines if "http-check send" in line)
    assert check.endswith(f"/balancer/{settings['CLUSTER_ID']}")
    assert settings["CLUSTER_ID"] == f"shops-{F}"


def test_a_worker_leaves_before_it_is_stopped() -> None:
    worker = dict(pods(rendered()))[f"StatefulSet {F}-worker"]
    container = worker["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert container["lifecycle"]["preStop"]["httpGet"] == {"path": "/leave", "port": "leave"}
    assert str(ports["leave"]) == environment(container)["LEAVE_PORT"]
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
    assert {kind: probe["httpGet"]["path"] for kind, probe in probes.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/healthz",
    }
    startup = probes["startup"]
    assert startup["failureThreshold"] * startup["periodSeconds"] == 600


@pytest.mark.parametrize("name", ["none", *FILES])
def test_every_variable_is_a_setting_and_stands_there_once(name: str) -> None:
    objects = rendered(*([FILES[name]] if name in FILES else []))
    known = {field.upper() for field in CoordinatorSettings.model_fields}
    # Parts of others, and what only puts a value together; the last belong to `kotaemon backup`.
    other = {"POD_IP", "POD_INDEX", "REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD"}
    other |= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    other |= {"KOTAEMON_TURN_LOG"}  # an option of `kotaemon turn-log`
    other |= {"BACKUP_URL", "BACKUP_S3_ENDPOINT", "BACKUP_S3_REGION"}

    for pod, spec in pods(objects):
        if pod.endswith(("-redis", "-kafka", "-haproxy", "-test")):
            continue
        for container in containers(spec):
            assert environment(container).keys() - known - other == set(), pod


def test_what_is_given_goes_before_what_the_chart_says() -> None:
    settings = told(rendered(ALL_ON), "worker")

    assert settings["AUTH_MODE"] == "open"  # worker.extraEnv
    assert settings["EXPERIMENT_FILE"] == "/etc/kotaemon/experiment/experiment.yaml"
    assert settings["SESSION_TTL_S"] == "86400"  # config: a number, and not 86400.0 or 8.64e+04
    assert settings["ARTIFACT_CACHE_BYTES_MAX"] == "10737418240"
    assert settings["GATE_TOLERANCE"] == "0.05"
    assert settings["VECTOR_STORE_KEY"] == {"secretKeyRef": {"name": "vectors", "key": "key"}}
    assert told(rendered(ALL_ON), "coordinator")["AUTH_MODE"] == "keys"


def test_workers_and_coordinators_are_told_where_traces_go() -> None:
    for part in ("worker", "coordinator"):
        settings = told(rendered(ALL_ON), part)
        assert settings["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.monitoring:4318"
        assert settings["OTEL_SERVICE_NAME"] == "kotaemon"
        assert settings["OTEL_TRACES_SAMPLE_RATIO"] == "0.1"
        headers = {"secretKeyRef": {"name": "collector", "key": "headers"}}
        assert settings["OTEL_EXPORTER_OTLP_HEADERS"] == headers
        assert not [name for name in told(rendered(), part) if name.startswith("OTEL_")]


def test_passwords_stand_before_the_address_that_names_them() -> None:
    for objects in (rendered(), rendered(FILES["ha.yaml"])):
        names = list(told(objects, "worker"))
        assert names.index("REDIS_PASSWORD") < names.index("REDIS_URL")


@pytest.mark.parametrize(
    ("name", "kind", "hosts"),
    [
        ("ha.yaml", "sentinel", 3),
        ("external-values.yaml", "cluster", 3),
        ("tls-values.yaml", "single", 0),
        ("minimal.yaml", "single", 0),
    ],
)
def test_the_stores_address_is_one_that_the_program_reads(name: str, kind: str, hosts: int) -> None:
    url = told(rendered(FILES[name]), "worker")["REDIS_URL"].replace("$(REDIS_PASSWORD)", "p4ss")
    address = StoreAddress.of(url)

    assert (address.kind, len(address.hosts)) == (kind, hosts)
    assert ":p4ss@" in url


def test_coordinators_share_a_volume_on_one_node_or_spread() -> None:
    near = dict(pods(rendered()))[f"StatefulSet {F}-coordinator"]
    wide = dict(pods(rendered(sets=('coordinator.volume.accessMode="ReadWriteMany"',))))
    claim = one(rendered(), "PersistentVolumeClaim", f"{F}-coordinator")

    (term,) = near["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "coordinator"
    spread = wide[f"StatefulSet {F}-coordinator"]
    assert "affinity" not in spread
    assert len(spread["topologySpreadConstraints"]) == 2
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_artifacts_come_from_the_coordinator_unless_there_is_a_bucket() -> None:
    ours, s3 = rendered(), rendered(FILES["external-values.yaml"])

    assert told(ours, "worker")["ARTIFACT_URL"] == f"http://{F}-coordinator:8090/artifacts"
    own = told(ours, "coordinator")
    assert own["COORDINATOR_ARTIFACT_URL"] == "file:///var/lib/kotaemon/artifacts"
    assert own["ARTIFACT_TOKEN"] == told(ours, "worker")["ARTIFACT_TOKEN"]
    for part in ("worker", "coordinator"):
        assert told(s3, part)["ARTIFACT_URL"] == "s3://kotaemon/artifacts"
        assert "COORDINATOR_ARTIFACT_URL" not in told(s3, part)


@pytest.mark.parametrize("mode", ["cpu", "custom", "keda"])
def test_who_scales_decides_how_many(mode: str) -> None:
    sets = (f'autoscaling={{"mode":"{mode}","prometheus":"http://prometheus:9090"}}',)
    objects = rendered(sets=sets)
    scaler = one(
        objects, "ScaledObject" if mode == "keda" else "HorizontalPodAutoscaler", f"{F}-worker"
    )
    spec = scaler["spec"]

    assert "replicas" not in one(objects, "StatefulSet", f"{F}-worker")["spec"]
    assert spec["scaleTargetRef"]["name"] == f"{F}-worker"
    if mode == "keda":
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        asked = spec["triggers"][0]["metadata"]
        assert asked["ignoreNullValues"] == "false"
        assert spec["fallback"]["replicas"] >= 2
        assert spec["minReplicaCount"] >= 2
        assert 'kotaemon_load_ratio{namespace="shops"' in asked["query"]
        assert float(asked["threshold"]) == 0.6
    else:
        behavior = spec["behavior"]
        assert len(spec["metrics"]) == (1 if mode == "cpu" else 2)
        for metric in spec["metrics"][1:]:
            assert metric["pods"]["metric"]["name"] == "kotaemon_load_ratio"
            assert metric["pods"]["target"]["averageValue"] == "600m"
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 120}]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_one_pod_of_a_kind_is_evicted_at_a_time() -> None:
    objects = rendered()

    for part in ("worker", "haproxy"):
        spec = one(objects, "PodDisruptionBudget", f"{F}-{part}")["spec"]
        assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
        assert spec["selector"]["matchLabels"]["app.kubernetes.io/component"] == part


def test_bundled_stores_keep_what_they_were_told() -> None:
    objects = rendered()
    redis = files_of(objects, f"{F}-redis")["redis.conf"].splitlines()
    strict = files_of(rendered(sets=('durability="fsync"',)), f"{F}-redis")["redis.conf"]

    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"} <= set(redis)
    assert "appendfsync always" in strict
    kafka = files_of(objects, f"{F}-kafka")["server.properties"].splitlines()
    own = broker_config(port=9092, controller_port=9093).splitlines()
    addresses = ("#", "listener", "advertised", "log.dirs")  # and who is let in there
    assert {it for it in own if not it.startswith(addresses)} <= set(kafka)
    for part in ("redis", "kafka"):
        spec = one(objects, "StatefulSet", f"{F}-{part}")["spec"]
        assert spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "8Gi"


def test_pods_restart_where_their_files_change() -> None:
    def checksum(part: str, kind: str, *sets: str) -> str:
        made = one(rendered(sets=sets), kind, f"{F}-{part}")
        annotations = made["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/config"])

    before = checksum("haproxy", "Deployment")
    assert checksum("haproxy", "Deployment", "worker.slots=17") != before
    assert checksum("haproxy", "Deployment", 'service.type="NodePort"') == before
    assert checksum("redis", "StatefulSet", 'durability="fsync"') != checksum(
        "redis", "StatefulSet"
    )


def test_a_new_version_restarts_only_what_runs_it() -> None:
    before, after = (rendered(sets=(f'image.tag="{tag}"',)) for tag in ("1.0.0", "1.0.1"))
    changed = {name for name, spec in pods(before) if dict(pods(after))[name] != spec}
    labels = {
        label
        for kind, part in (("StatefulSet", "redis"), ("Deployment", "haproxy"))
        for label in one(before, kind, f"{F}-{part}")["spec"]["template"]["metadata"]["labels"]
    }

    # The rights of the new version may be others: beside Kafka runs what grants them.
    sets = {f"StatefulSet {F}-{part}" for part in ("worker", "coordinator", "kafka")}
    assert changed == {*sets, f"Pod {F}-test"}
    assert {label for label in labels if "version" in label or "chart" in label} == set()


def test_what_is_off_makes_nothing() -> None:
    minimal = rendered(FILES["minimal.yaml"])

    assert kinds(minimal, "PodDisruptionBudget") == []
    assert kinds(minimal, "StatefulSet") == [f"{F}-coordinator", f"{F}-redis", f"{F}-worker"]
    assert "KAFKA_BOOTSTRAP_SERVERS" not in told(minimal, "worker")
    away = {"Ingress", "HTTPRoute", "CronJob", "ServiceMonitor", "PrometheusRule"}
    assert away.isdisjoint({it["kind"] for it in minimal})


def test_what_is_on_is_there() -> None:
    objects = rendered(ALL_ON)

    images = {c["image"] for _, spec in pods(objects) for c in containers(spec)}
    assert {image.partition("/")[0] for image in images} == {"mirror.example.com"}
    assert f"mirror.example.com/kotaemon-cluster@sha256:{'0' * 64}" in images
    assert kinds(objects, "CronJob") == [f"{F}-backup-full", f"{F}-backup-incr"]
    assert len(kinds(objects, "ServiceMonitor")) == 3
    rules = one(objects, "PrometheusRule", F)["spec"]["groups"]
    assert all(rule["annotations"] for group in rules for rule in group["rules"])
    assert [name for name in kinds(objects, "ConfigMap") if "-dashboard-" in name]
    assert {"shop-extra", "shop-text"} <= set(kinds(objects, "ConfigMap"))
    assert one(objects, "Ingress", F)["spec"]["rules"][0]["host"] == "chat.example.com"
    worker = dict(pods(objects))[f"StatefulSet {F}-worker"]
    assert worker["priorityClassName"] == "high"
    assert worker["nodeSelector"]
