"""The routes of plugins: pushed, configured, rolled out, switched off, shown with their pods."""

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kotaemon_node.adapters.bundles import BundleShelf, check_source
from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.signing import Ed25519Signer
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.store.uploads import StoreUploads
from kotaemon_node.api.app import create_app
from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.plugin_bundle import (
    digest_of,
    manifest_text,
    message_of,
    packed,
    plugin_name_of,
)
from kotaemon_node.domain.plugin_releases import PluginRow, Release
from kotaemon_node.domain.plugin_signature import signature_line
from kotaemon_node.engine.plugin_desk import PluginDesk
from kotaemon_node.ports.knowledge import PodReport
from tests.fakes.bus import InProcessBus
from tests.fakes.plugin_rollout import MemoryRegistry, release
from tests.fakes.services import FakeCluster
from tests.fakes.signing import SIGNER, STRANGER, VERIFIER

FILES = {"orders.py": b"x = 1\n", "orders.yaml": b"effects: read\n"}


class Desk:
    """A pod whose registry and bundles the test sees."""

    def __init__(self, root: Path) -> None:
        self.registry = MemoryRegistry()
        self.store = FileArtifactStore(root)
        self.bus = InProcessBus()
        self.woken = 0
        self.compiled = 0
        self.cluster = FakeCluster()
        self.shelf = BundleShelf(
            self.store,
            StoreUploads(self.store, native=here),
            VERIFIER,
            tenant="default",
            folder=root / "unpacked",
            native=here,
        )
        self.cluster.plugins = PluginDesk(
            self.registry,
            self.shelf,
            self.bus,
            check=self._check,
            read=read,
            tenant="default",
            clock=self.cluster.clock,
            ids=self.cluster.ids,
            wake=self._wake,
        )
        self.client: Any = self.cluster.client()

    def push(self, raw: bytes, signer: Ed25519Signer = SIGNER, **fields: Any) -> Any:
        signature = signer.sign(message_of("orders", digest_of(raw)))
        line = signature_line(signer.key_id, signature)
        form = {
            "bundle": (io.BytesIO(raw), "orders.zip"),
            "signature": (io.BytesIO(line), "orders.sig"),
            **{name: json.dumps(value) for name, value in fields.items()},
        }
        return self.client.post("/v1/plugins", data=form, content_type="multipart/form-data")

    def _check(self, files: Any) -> None:
        self.compiled += 1
        check_source(files)

    def row(self) -> PluginRow:
        return self.registry.read("default").rows["orders"]

    def told(self) -> list[str]:
        return [json.loads(it.value)["name"] for it in self.bus._messages]

    def _wake(self) -> None:
        self.woken += 1


def here(work: Any, *arguments: Any) -> Any:
    return work(*arguments)


def read(files: Any) -> Any:
    return read_manifest(plugin_name_of(files), manifest_text(files))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_signed_bundle_is_kept_wanted_and_told(desk: Desk) -> None:
    answer = desk.push(packed(FILES))

    assert answer.status_code == 201
    assert answer.json["name"] == "orders"
    assert answer.json["stable"]["signed_by"] == SIGNER.key_id
    assert desk.row().changed_by == "anonymous"
    assert desk.told() == ["orders"]
    assert desk.woken == 1
    assert desk.row().stable is not None
    assert desk.shelf.files("orders", desk.row().stable) == FILES  # type: ignore[arg-type]


def test_the_same_bundle_again_changes_nothing(desk: Desk) -> None:
    desk.push(packed(FILES))
    before = desk.registry.read("default")

    desk.cluster.clock.at_s += 5
    assert desk.push(packed(FILES)).status_code == 201

    assert desk.registry.read("default") == before


def test_the_same_bundle_by_another_key_is_signed_anew(desk: Desk) -> None:
    desk.registry.set(PluginRow("orders", Release(digest_of(packed(FILES)), "0" * 16, "00")))

    answer = desk.push(packed(FILES))

    assert answer.json["stable"]["signed_by"] == SIGNER.key_id
    assert answer.json["previous"] is None


def test_a_bundle_is_tried_on_a_share_first(desk: Desk) -> None:
    desk.push(packed(FILES), config={"url": "a"})
    answer = desk.push(packed({**FILES, "orders.py": b"x = 2\n"}), rollout_percent=10)

    assert answer.json["rollout_percent"] == 10
    assert answer.json["next"]["config"] == {"url": "a"}
    assert answer.json["stable"]["bundle"] != answer.json["next"]["bundle"]


@pytest.mark.parametrize(
    ("raw", "signer", "status", "why"),
    [
        (packed(FILES), STRANGER, 422, "not trusted"),
        (b"no zip", SIGNER, 422, "no zip"),
        (packed({"orders.py": b"def (\n"}), SIGNER, 422, "line 1"),
        (packed({**FILES, "orders.yaml": b"effects: [\n"}), SIGNER, 422, "neither YAML"),
        (packed({"other.py": b""}), SIGNER, 422, "not what key"),
        (bytes(bounds.BUNDLE_BYTES_MAX + 1), SIGNER, 413, "at most"),
    ],
)
def test_what_is_not_signed_or_no_plugin_is_refused_and_says_why(
    desk: Desk, raw: bytes, signer: Ed25519Signer, status: int, why: str
) -> None:
    answer = desk.push(raw, signer)

    assert answer.status_code == status
    assert why in answer.json["error"]["message"]
    assert desk.registry.read("default").rows == {}


def test_a_signature_of_another_bundle_is_refused(desk: Desk) -> None:
    line = signature_line(SIGNER.key_id, SIGNER.sign(message_of("orders", "0" * 64)))
    form = {
        "bundle": (io.BytesIO(packed(FILES)), "b"),
        "signature": (io.BytesIO(line), "s"),
    }
    answer = desk.client.post("/v1/plugins", data=form, content_type="multipart/form-data")

    assert answer.status_code == 422
    assert "not what key" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 422),
        ({"bundle": (io.BytesIO(b"x"), "b")}, 422),
        ({"bundle": (io.BytesIO(b"x"), "b"), "signature": (io.BytesIO(b"x"), "s")}, 422),
    ],
)
def test_a_form_that_lacks_something_is_refused(
    desk: Desk, form: dict[str, Any], status: int
) -> None:
    answer = desk.client.post("/v1/plugins", data=form, content_type="multipart/form-data")
    assert answer.status_code == status


def test_a_body_that_is_no_form_is_refused(desk: Desk) -> None:
    assert desk.client.post("/v1/plugins", json={}).status_code == 415


def test_it_is_switched_configured_rolled_out_reloaded_and_removed(desk: Desk) -> None:
    desk.push(packed(FILES))
    put = desk.client.put

    assert put("/v1/plugins/orders", json={"enabled": False}).json["enabled"] is False
    put("/v1/plugins/orders", json={"enabled": True, "rollout_percent": 10})
    tried = put("/v1/plugins/orders", json={"config": {"key": {"secret": "K"}}}).json
    assert tried["next"]["config"] == {"key": {"secret": "K"}}
    assert tried["stable"]["config"] == {}
    assert put("/v1/plugins/orders", json={"rollout_percent": 100}).json["next"] is None

    assert desk.client.post("/v1/plugins/orders/reload", json={}).status_code == 200
    assert desk.row().reloads == 1
    assert len(desk.told()) == 6

    assert desk.client.delete("/v1/plugins/orders").status_code == 204
    assert desk.client.delete("/v1/plugins/orders").status_code == 404
    assert desk.registry.read("default").rows == {}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("nobody", {"enabled": True}, 404),
        ("orders", {"rollout_percent": 101}, 422),
        ("orders", {"rollout_percent": "10"}, 422),
        ("orders", {"enabled": "yes"}, 422),
        ("orders", {"config": []}, 422),
        ("orders", {"config": {"x": "y" * bounds.PLUGIN_CONFIG_BYTES_MAX}}, 413),
        ("or.ders", {"enabled": True}, 422),
    ],
)
def test_nonsense_changes_nothing(desk: Desk, path: str, body: dict[str, Any], status: int) -> None:
    desk.registry.set(PluginRow("orders", release("a")))

    assert desk.client.put(f"/v1/plugins/{path}", json=body).status_code == status
    assert desk.row() == PluginRow("orders", release("a"))


def test_a_configuration_is_held_to_the_schema_of_the_manifest(desk: Desk) -> None:
    schema = b"config_schema: {properties: {url: {type: string}}, additionalProperties: false}\n"
    raw = packed({**FILES, "orders.yaml": b"effects: read\n" + schema})
    assert desk.push(raw, config={"url": 1}).status_code == 422
    assert desk.push(raw).status_code == 201

    for config, status in (({"url": 1}, 422), ({"uri": "u"}, 422), ({"url": {"secret": "U"}}, 200)):
        answer = desk.client.put("/v1/plugins/orders", json={"config": config})
        assert answer.status_code == status, answer.json
    assert desk.row().stable.config == {"url": {"secret": "U"}}  # type: ignore[union-attr]
    assert desk.compiled == 2  # with each push, and with no change of the configuration


def test_the_list_shows_what_is_wanted_beside_what_the_pods_have(desk: Desk) -> None:
    row = PluginRow("orders", release("a"), problem="orders.py, line 1: no")
    desk.registry.set(row)
    version = release("a").version
    desk.cluster.presence.reports = [
        PodReport(name="worker-0", plugins={"orders": {"version": version}}),
        PodReport(name="worker-1", plugins={"orders": {"version": "b", "problem": "why"}}),
        PodReport(name="worker-2"),
    ]

    listed = desk.client.get("/v1/plugins").json

    assert listed["revision"] == 1
    (plugin,) = listed["plugins"]
    assert plugin["problem"] == "orders.py, line 1: no"
    assert plugin["converged"] is False
    assert plugin["pods"] == [
        {"pod": "worker-0", "version": version, "next": None, "problem": None},
        {"pod": "worker-1", "version": "b", "next": None, "problem": "why"},
        {"pod": "worker-2", "version": None, "next": None, "problem": None},
    ]

    del desk.cluster.presence.reports[1:]
    assert desk.client.get("/v1/plugins").json["plugins"][0]["converged"] is True


def test_the_cluster_shows_whether_pods_agree_on_plugins(desk: Desk) -> None:
    desk.cluster.presence.reports = [
        PodReport(name="worker-0", plugins={"orders": {"version": "a", "next": "b"}}),
        PodReport(name="worker-1", plugins={"orders": {"version": "a", "next": "b"}}),
    ]
    (agreed,) = desk.client.get("/v1/cluster").json["plugins"]
    assert agreed == {
        "plugin": "orders",
        "converged": True,
        "versions": {"worker-0": "a", "worker-1": "a"},
        "next": {"worker-0": "b", "worker-1": "b"},
    }

    desk.cluster.presence.reports.append(PodReport(name="worker-2"))
    (agreed,) = desk.client.get("/v1/cluster").json["plugins"]
    assert agreed["converged"] is False
    assert agreed["versions"]["worker-2"] is None


def test_a_bus_that_is_away_delays_only(desk: Desk) -> None:
    desk.bus.stop()

    assert desk.push(packed(FILES)).status_code == 201
    assert desk.row().stable is not None


class OneOpen:
    """Breakers, of which that of ``orders`` is open."""

    def of(self, tenant: str, name: str) -> Any:
        return SimpleNamespace(open_now=lambda: (tenant, name) == ("default", "orders"))


def test_a_list_says_what_may_be_configured_and_whose_breaker_is_open(desk: Desk) -> None:
    manifest = (
        b"config: {url: 'https://shop.example'}\n"
        b"config_schema: {properties: {url: {type: string}}}\n"
    )
    desk.push(packed({**FILES, "orders.yaml": manifest}))
    desk.registry.set(PluginRow("lost", release("d")))
    desk.cluster.breakers = OneOpen()
    client: Any = desk.cluster.client()

    lost, orders = client.get("/v1/plugins").json["plugins"]

    assert orders["breaker"] == "open"
    assert orders["config_default"] == {"url": "https://shop.example"}
    assert orders["config_schema"]["properties"] == {"url": {"type": "string"}}
    # Its bundle is gone: nothing is known of it, and it is shown all the same.
    assert (lost["breaker"], lost["config_schema"], lost["config_default"]) == ("closed", {}, {})


def test_the_audit_log_says_whom_a_change_concerns_and_how_far(desk: Desk) -> None:
    """Of a configuration it says only that there is one."""
    kept: list[AuditEvent] = []
    services = replace(desk.cluster.services(), audit=SimpleNamespace(record=kept.append))
    desk.client = create_app(services).test_client()
    assert desk.push(packed(FILES), rollout_percent=100, tenants=["acme"]).status_code == 201
    change = {"tenants": ["acme", "beta"], "config": {"url": "secret"}, "enabled": False}
    assert desk.client.put("/v1/plugins/orders", json=change).status_code == 200
    pushed, changed = (dict(one.detail) for one in kept)
    assert (pushed["tenants"], pushed["tenant_count"], pushed["rollout_percent"]) == (
        "acme",
        1,
        100,
    )
    assert not pushed["configured"]
    assert changed == {
        "configured": True,
        "enabled": False,
        "tenants": "acme,beta",
        "tenant_count": 2,
    }
