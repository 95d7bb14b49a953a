"""deploy/compose/compose.yaml: by the Compose specification, and by what a cluster needs of it.

That these very commands and files work is shown in ``tests/integration/test_compose_processes.py``.
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
import yaml

from kotaemon_node.local import broker_jars, haproxy_places
from kotaemon_node.local.cluster import WORKER_SLOTS
from kotaemon_node.settings import Settings
from tests import compose_file
from tests.compose_file import FOLDER, ROOT

_SCHEMA = ROOT / "tests" / "schemas" / "compose-spec" / "compose-spec.json"
COMPOSE = compose_file.load()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = sorted(name for name in SERVICES if name.startswith("worker-"))
OURS = sorted(name for name, told in SERVICES.items() if "kotaemon-cluster" in told["image"])
ONE_SHOT = {"setup", "admin"}
# gunicorn's own; and what only setup.sh reads.
NO_SETTINGS = {"GUNICORN_CMD_ARGS", "KNOWLEDGE", "GRAFANA_ADMIN_PASSWORD"}

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_it_is_what_the_compose_specification_allows() -> None:
    schema = json.loads(_SCHEMA.read_text("utf-8"))
    check = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in check.iter_errors(COMPOSE)] == []
    assert [error.message for error in check.iter_errors(compose_file.raw())] == []

    # The schema finds what is wrong: a word that it does not know, a number where words are.
    for wrong in ({"helthcheck": {}}, {"command": 7}):
        services = {"redis": SERVICES["redis"] | wrong}
        assert list(check.iter_errors({**COMPOSE, "services": services}))


def test_only_page_and_grafana_are_published_and_only_to_this_machine() -> None:
    published = {name: told["ports"] for name, told in SERVICES.items() if "ports" in told}
    assert published == {
        "haproxy": ["127.0.0.1:8080:8080"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    elsewhere = compose_file.load({"PUBLISH_ADDRESS": "0.0.0.0", "PORT": "80"})
    assert elsewhere["services"]["haproxy"]["ports"] == ["0.0.0.0:80:8080"]


def test_stores_and_coordinators_cannot_be_reached_from_outside() -> None:
    assert COMPOSE["networks"]["back"] == {"internal": True}
    inner = {"redis", "kafka", "coordinator-0", "coordinator-1", "build-worker"}
    for name in inner:
        assert set(compose_file.networks(SERVICES[name])) == {"back"}
    # Who is published has no way to the stores.
    for name in ("haproxy", "grafana"):
        assert set(compose_file.networks(SERVICES[name])) == {"front"}
    assert not any(
        "network_mode" in told for told in SERVICES.values() if told is not SERVICES["setup"]
    )


@every_service
def test_each_service_is_confined(name: str) -> None:
    told = SERVICES[name]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in told
    assert "privileged" not in told
    uid, _, _ = told["user"].partition(":")
    assert int(uid) > 0
    assert any(line.startswith("/tmp:") for line in told["tmpfs"])
    limits = told["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert told["logging"]["options"].keys() == {"max-size", "max-file"}
    assert told["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


@every_service
def test_each_service_waits_for_what_can_be_waited_for(name: str) -> None:
    told = SERVICES[name]
    assert (name in ONE_SHOT) != ("healthcheck" in told)
    for other, options in told.get("depends_on", {}).items():
        done = other in ONE_SHOT
        wanted = "service_completed_successfully" if done else "service_healthy"
        assert options == {"condition": wanted}
        # A profile that is off must not hold up the others.
        assert set(SERVICES[other].get("profiles", [])) <= set(told.get("profiles", []))


def test_the_order_of_the_start_has_no_circle() -> None:
    left, done = set(SERVICES), set[str]()
    while left:
        ready = {name for name in left if done.issuperset(SERVICES[name].get("depends_on", {}))}
        assert ready, f"these wait for each other: {left}"
        done |= ready
        left -= ready


@every_service
def test_everything_that_is_named_is_there(name: str) -> None:
    told = SERVICES[name]
    for mount in compose_file.mounts(told):
        if mount.named:
            assert mount.source in COMPOSE["volumes"]
        else:
            assert mount.read_only, f"{mount.source} is the user's and not written to"
            assert mount.path.exists()
    assert set(compose_file.networks(told)) <= set(COMPOSE["networks"])
    if "build" in told:
        assert (FOLDER / told["build"]["context"] / told["build"]["dockerfile"]).is_file()


def test_every_volume_and_network_is_used() -> None:
    mounted = {mount.source for told in SERVICES.values() for mount in compose_file.mounts(told)}
    assert set(COMPOSE["volumes"]) <= mounted
    joined = {name for told in SERVICES.values() for name in compose_file.networks(told)}
    assert set(COMPOSE["networks"]) == joined


@pytest.mark.parametrize("name", OURS)
def test_each_name_of_the_environment_is_a_setting(name: str) -> None:
    table = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", table, re.M))
    assert documented, "the table was found"
    assert set(SERVICES[name].get("environment", {})) - documented <= NO_SETTINGS


@pytest.mark.parametrize("name", [name for name in OURS if name not in ONE_SHOT])
def test_each_value_of_the_environment_is_one_that_settings_take(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in list(os.environ):
        if variable.lower() in Settings.model_fields:
            monkeypatch.delenv(variable)
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, str(value))
    monkeypatch.setenv("REDIS_URL", "redis://:secret@redis:6379/0")  # from setup.sh
    settings = Settings()
    assert settings.cluster_id == haproxy_places.COMPOSE_CLUSTER
    assert settings.kafka_bootstrap_servers == "kafka:9092"
    # Nothing of ours is written where the root is read-only.
    kept = {mount.target for mount in compose_file.mounts(SERVICES[name]) if not mount.read_only}
    if name in WORKERS:
        assert {str(settings.artifact_cache_dir.parent), str(settings.upload_dir)} <= kept


def test_pods_are_named_and_placed_as_the_balancer_knows_them() -> None:
    assert len([name for name in WORKERS if "profiles" not in SERVICES[name]]) == (
        haproxy_places.COMPOSE_WORKERS
    )
    lines = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text("utf-8")
    for name in WORKERS:
        environment = SERVICES[name]["environment"]
        assert environment["POD_NAME"] == name
        assert environment["POD_ADDRESS"] == f"{name}:8000"
        slot = int(name.removeprefix("worker-"))
        assert slot < WORKER_SLOTS
        assert f"server {name} {name}:8000 id {slot + 1}" in lines


def test_the_signing_key_and_the_other_secrets_are_where_they_are_needed_and_nowhere_else() -> None:
    readers = {
        volume: {
            name
            for name, told in SERVICES.items()
            if any(mount.source == volume for mount in compose_file.mounts(told))
        }
        for volume in COMPOSE["volumes"]
        if volume.startswith("secrets-")
    }
    coordinators = {"coordinator-0", "coordinator-1", "build-worker"}
    assert readers == {
        "secrets-signing": {"setup", *coordinators},
        "secrets-cluster": {"setup", "admin", *coordinators, *WORKERS},
        "secrets-redis": {"setup", "redis"},
        # As whom Redis knows them, and by which password.
        "secrets-worker": {"setup", *WORKERS},
        "secrets-coordinator": {"setup", *coordinators},
        "secrets-backup": {"setup", "admin"},
        "secrets-grafana": {"setup", "grafana"},
    }
    for name, told in SERVICES.items():
        for mount in compose_file.mounts(told):
            if mount.source.startswith("secrets-"):
                assert mount.read_only == (name != "setup")


def test_workers_get_longer_to_leave_than_they_take() -> None:
    gunicorn = (ROOT / "kotaemon_node" / "server" / "gunicorn_conf.py").read_text("utf-8")
    leaving = re.search(r"^graceful_timeout = (\d+)", gunicorn, re.M)
    assert leaving
    for name in WORKERS:
        grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace_s >= int(leaving[1]) + 10


def test_every_variable_is_explained_with_its_default() -> None:
    text = (FOLDER / ".env.example").read_text("utf-8")
    given = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.M))
    assert given == {
        name: one for name, defaults in compose_file.variables_used().items() for one in defaults
    }
    assert all(len(defaults) == 1 for defaults in compose_file.variables_used().values())


def test_versions_are_those_that_the_project_is_tested_with() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{broker_jars.VERSION}"
    values: Mapping[str, Any] = yaml.safe_load((ROOT / "helm/kotaemon/values.yaml").read_text())
    for name in ("haproxy", "redis", "kafka"):
        image = (
            values[name]["image"] if "image" in values[name] else values[name]["bundled"]["image"]
        )
        assert SERVICES[name]["image"] == f"{image['repository']}:{image['tag']}"


def test_grafana_is_closed_and_shows_what_prometheus_has() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    provisioning = FOLDER / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())
    assert [source["url"] for source in sources["datasources"]] == ["http://prometheus:9090"]
    boards = yaml.safe_load((provisioning / "dashboards" / "kotaemon.yaml").read_text())
    mounted = {mount.target: mount for mount in compose_file.mounts(SERVICES["grafana"])}
    for provider in boards["providers"]:
        assert list(mounted[provider["options"]["path"]].path.glob("*.json"))
