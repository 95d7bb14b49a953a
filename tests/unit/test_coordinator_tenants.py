"""One coordinator, many tenants: each has its own places, and its own trouble."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from coordinator.catalog import Catalog
from coordinator.folder import KnowledgeFolder
from coordinator.leader import Lease
from coordinator.metrics import CoordinatorMetrics
from coordinator.sharing import Shared
from coordinator.status import StatusBoard
from coordinator.tenants import Led, Tenants
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import (
    knowledge_bases_prefix,
    manifest_name,
    upload_name,
)
from kotaemon_node.domain.document_names import TENANTS_FOLDER
from kotaemon_node.domain.signed_manifest import UntrustedArtifact
from kotaemon_node.ports.jobs import UPLOAD, Job, Order
from kotaemon_node.retrieval.manifests import ManifestReader
from tests.fakes.coordination import World
from tests.fakes.encoder import HashingEncoder
from tests.fakes.reading import ReaderHere
from tests.fakes.signing import SIGNER, VERIFIER


class Coordinator:
    """A coordinator of a world for all tenants, stepped by hand."""

    def __init__(self, world: World, *, name: str = "a") -> None:
        self.world = world
        self.board = StatusBoard()
        self.metrics = CoordinatorMetrics()
        self.lease = Lease(world.leadership, clock=world.clock, holder=name)
        shared = Shared(
            store=world.store,
            pointer=world.pointer,
            bus=world.bus,
            jobs=world.jobs,
            lease=self.lease,
            encoder=HashingEncoder(),
            segment_format=FaissSegmentFormat(),
            signer=SIGNER,
            verifier=VERIFIER,
            session_life_s=48 * 3600,
            gate_tolerance=0.0,
            tasks=ThreadTasks(native_threads=1),
            clock=world.clock,
            ids=world.ids,
        )
        folder = KnowledgeFolder(world.knowledge, clock=world.clock)
        reader = ReaderHere(folder.read)
        loop = shared.loop("default", folder, reader, board=self.board, metrics=self.metrics)
        tenants = world.knowledge / TENANTS_FOLDER
        self.tenants = Tenants(
            Led(loop, self.board, folder.hint),
            make=lambda tenant: shared.led(
                tenant, tenants / tenant, reader, board=self.board, metrics=self.metrics
            ),
            folder=tenants,
            orders=world.jobs,
            leads=lambda: self.lease.fence is not None,
            show=self._show,
            clock=world.clock,
        )

    def _show(self, boards: Mapping[str, StatusBoard]) -> None:
        self.board.tenants = boards
        self.metrics.tenants([it.current for it in boards.values()])

    def settle(self, *, rounds: int = 4) -> None:
        for _ in range(rounds):
            self.lease.renew()
            self.tenants.round()
            self.world.clock.sleep(max(limits.FILE_STABLE_S, 1.0))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def coordinator(world: World) -> Coordinator:
    return Coordinator(world)


def upload(world: World, tenant: str, document: str, text: str, *, job: str = "job") -> str:
    """Upload a file as a pod does; return its revision."""
    content = text.encode()
    revision = hashlib.sha256(content).hexdigest()
    world.store.put_if_absent(upload_name(tenant, job, revision), content)
    fields = {"document": document, "revision": revision, "bytes": len(content)}
    kb = document.partition("/")[0] if "/" in document else "default"
    world.jobs.submit(Order(job, UPLOAD, tenant, kb, fields))
    return revision


def order(world: World, tenant: str, kind: str, job: str, **fields: Any) -> None:
    world.jobs.submit(Order(job, kind, tenant, "default", fields))


def ended(world: World, tenant: str, job: str = "job") -> Job:
    found = world.jobs.find(tenant, job)
    assert found.state in {"done", "failed"}, found
    return found


def documents(world: World, tenant: str, kb: str = "default") -> dict[str, str]:
    manifest = Catalog(world.store, VERIFIER, tenant=tenant).newest(kb).manifest
    assert manifest is not None
    assert (manifest.tenant, manifest.kb) == (tenant, kb)
    return {entry.document: entry.revision for entry in manifest.documents}


def test_the_same_name_holds_for_each_tenant_what_it_uploaded(
    world: World, coordinator: Coordinator
) -> None:
    world.write({"price.md": "It costs 1."})
    acme = upload(world, "acme", "price.md", "It costs 2.")
    other = upload(world, "other", "price.md", "It costs 3.")
    coordinator.settle()
    assert documents(world, "acme") == {"price.md": acme}
    assert documents(world, "other") == {"price.md": other}
    assert documents(world, "default")["price.md"] not in {acme, other}
    assert ended(world, "acme").result["generation"] == 1
    assert (world.knowledge / TENANTS_FOLDER / "acme" / "price.md").read_text() == "It costs 2."


def test_default_keeps_its_places_and_sees_nobody_elses(
    world: World, coordinator: Coordinator
) -> None:
    world.write({"a.md": "Ours.", "shop/b.md": "Ours, too."})
    upload(world, "acme", "secret.md", "Theirs.")
    coordinator.settle()
    assert set(documents(world, "default")) == {"a.md"}
    assert set(documents(world, "default", "shop")) == {"shop/b.md"}
    assert {
        it.partition("/kb/")[2].partition("/")[0] for it in world.store.list("tenants/default/")
    } == {
        "default",
        "shop",
    }
    assert world.store.get(manifest_name("default", "default", 1)) is not None


def test_events_and_pointers_name_the_tenant(world: World, coordinator: Coordinator) -> None:
    world.write({"a.md": "Ours."})
    upload(world, "acme", "a.md", "Theirs.")
    coordinator.settle()
    sent = {it.key: json.loads(it.value)["tenant"] for it in world.bus.messages}
    assert sent == {"default": "default", "acme/default": "acme"}
    assert set(world.pointer.current("acme")) == {"default"}


def test_a_tenant_with_one_knowledge_base_gets_no_empty_default(
    world: World, coordinator: Coordinator
) -> None:
    upload(world, "acme", "shop/a.md", "Theirs.")
    coordinator.settle()
    assert set(world.pointer.current("acme")) == {"shop"}


def test_files_in_a_tenants_folder_are_followed(world: World, coordinator: Coordinator) -> None:
    world.write({f"{TENANTS_FOLDER}/acme/guides/a.md": "Put there by hand."})
    coordinator.settle()
    assert set(documents(world, "acme", "guides")) == {"guides/a.md"}
    (world.knowledge / TENANTS_FOLDER / "acme/guides/a.md").unlink()
    coordinator.settle()
    assert documents(world, "acme", "guides") == {}


def test_a_change_is_hinted_to_its_tenant(world: World, coordinator: Coordinator) -> None:
    told: dict[str, list[str]] = {}

    class Quiet:
        def guarded_step(self) -> float:
            return 60.0

        def stop(self) -> None: ...

        def end(self) -> None: ...

    def led(tenant: str) -> Led:
        return Led(Quiet(), StatusBoard(), told.setdefault(tenant, []).extend)

    tenants = Tenants(
        led("default"),
        make=led,
        folder=world.knowledge / TENANTS_FOLDER,
        orders=world.jobs,
        leads=lambda: True,
        show=lambda _: None,
        clock=world.clock,
    )
    world.write({f"{TENANTS_FOLDER}/acme/a.md": "x"})
    tenants.hint([f"{TENANTS_FOLDER}/acme"])
    tenants.round()
    tenants.hint([f"{TENANTS_FOLDER}/acme/kb/a.md", "b.md"])
    assert told == {"default": ["b.md"], "acme": ["kb/a.md"]}


def test_a_rollback_of_one_tenant_leaves_the_others(world: World, coordinator: Coordinator) -> None:
    first = upload(world, "acme", "price.md", "It costs 2.")
    theirs = upload(world, "other", "price.md", "It costs 3.")
    coordinator.settle()
    upload(world, "acme", "price.md", "It costs 22.", job="again")
    coordinator.settle()
    assert documents(world, "acme") != {"price.md": first}
    order(world, "acme", "rollback", "back", generation=1)
    coordinator.settle()
    assert ended(world, "acme", "back").result == {"generation": 3}
    assert documents(world, "acme") == {"price.md": first}
    assert documents(world, "other") == {"price.md": theirs}
    assert world.pointer.current("other")["default"].generation == 1


def test_a_purge_takes_nothing_of_another_tenant(world: World, coordinator: Coordinator) -> None:
    upload(world, "acme", "price.md", "The same words.")
    upload(world, "other", "price.md", "The same words.")
    coordinator.settle()
    before = {it: world.store.get(it) for it in world.store.list(knowledge_bases_prefix("other"))}
    order(world, "acme", "purge", "gone", document="price.md")
    coordinator.settle()
    assert ended(world, "acme", "gone").state == "done"
    assert documents(world, "acme") == {}
    after = {it: world.store.get(it) for it in world.store.list(knowledge_bases_prefix("other"))}
    assert after == before


def test_a_manifest_of_another_tenant_is_refused_where_it_lies(
    world: World, coordinator: Coordinator
) -> None:
    upload(world, "acme", "price.md", "It costs 2.")
    coordinator.settle()
    raw = world.store.get(manifest_name("acme", "default", 1))
    assert raw is not None
    world.store.put_if_absent(manifest_name("other", "default", 1), raw)
    reader = ManifestReader(world.store, VERIFIER, tenant="other")
    with pytest.raises(UntrustedArtifact) as refused:
        reader.read("default", 1)
    assert refused.value.reason == "misplaced"


def test_trouble_of_one_tenant_stops_no_other(world: World, coordinator: Coordinator) -> None:
    upload(world, "acme", "a.md", "Theirs.")
    coordinator.settle()
    lost = world.knowledge / TENANTS_FOLDER / "acme"
    lost.rename(lost.with_name(".lost"))
    kept = upload(world, "other", "a.md", "Others'.")
    coordinator.settle()
    assert documents(world, "other") == {"a.md": kept}
    assert "is not there" in (coordinator.board.tenants["acme"].current.problem or "")
    assert coordinator.board.current.ready
    assert coordinator.board.current.problem is None
    assert b'kotaemon_coordinator_tenants{state="trouble"} 1.0' in coordinator.metrics.exposition()


def test_a_lost_folder_of_a_tenant_deletes_nothing(world: World, coordinator: Coordinator) -> None:
    revision = upload(world, "acme", "a.md", "Theirs.")
    coordinator.settle()
    folder = world.knowledge / TENANTS_FOLDER / "acme"
    folder.rename(folder.with_name(".lost"))
    upload(world, "acme", "b.md", "More.", job="more")
    after = Coordinator(world, name="b")
    world.clock.sleep(limits.LEADER_TTL_S + 1)
    after.settle()
    assert documents(world, "acme") == {"a.md": revision}
    assert world.jobs.find("acme", "more").state == "queued"


@pytest.mark.parametrize("name", ["default", "no spaces"])
def test_a_folder_that_is_no_tenants_is_named_and_left_alone(
    world: World, coordinator: Coordinator, name: str
) -> None:
    world.write({f"{TENANTS_FOLDER}/{name}/a.md": "Nobody's."})
    coordinator.settle()
    assert list(coordinator.tenants.known()) == ["default"]


def test_a_link_into_a_tenants_folder_is_ignored(world: World, coordinator: Coordinator) -> None:
    world.write({f"{TENANTS_FOLDER}/acme/a.md": "Theirs.", "b.md": "Ours."})
    (world.knowledge / "stolen.md").symlink_to(world.knowledge / TENANTS_FOLDER / "acme/a.md")
    coordinator.settle()
    assert set(documents(world, "default")) == {"b.md"}
    assert "leaves" in coordinator.board.current.ignored["stolen.md"]


def test_labels_hold_no_name_that_a_tenant_chose(world: World, coordinator: Coordinator) -> None:
    upload(world, "acme", "secretname/a.md", "Theirs.")
    coordinator.settle()
    shown = coordinator.metrics.exposition().decode()
    assert "secretname" not in shown
    assert "acme" not in shown


def test_who_stands_by_makes_no_folder(world: World) -> None:
    upload(world, "acme", "a.md", "Theirs.")
    standby = Coordinator(world)
    standby.tenants.round()
    assert not (world.knowledge / TENANTS_FOLDER).exists()
    assert list(standby.tenants.known()) == ["default"]


def test_a_name_that_differs_by_case_shares_no_folder(
    world: World, coordinator: Coordinator
) -> None:
    upload(world, "acme", "price.md", "It costs 2.")
    coordinator.settle()
    # As a volume that does not tell A from a shows it.
    folder = world.knowledge / TENANTS_FOLDER
    (folder / "Acme").symlink_to(folder / "acme")
    upload(world, "Acme", "price.md", "It costs 3.")
    coordinator.settle()

    assert "Acme" not in coordinator.tenants.known()
    assert documents(world, "acme").keys() == {"price.md"}
    assert list(world.store.list(knowledge_bases_prefix("Acme"))) == []

    # Where the volume tells them apart both are led, with nothing started anew.
    (folder / "Acme").unlink()
    coordinator.settle()
    assert documents(world, "Acme") != documents(world, "acme")


def test_a_tenant_for_which_there_was_no_room_is_led_once_there_is(
    world: World, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TENANTS_LED_MAX", 0)
    upload(world, "acme", "price.md", "It costs 2.")
    coordinator.settle()
    assert "acme" not in coordinator.tenants.known()

    monkeypatch.setattr(limits, "TENANTS_LED_MAX", 1)
    coordinator.settle()
    assert documents(world, "acme").keys() == {"price.md"}
