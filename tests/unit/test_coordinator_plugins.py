"""The plugin folder: new, changed, broken and removed files, and who leads next."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from coordinator.plugins import PluginFolder
from kotaemon_node.adapters.signing import Ed25519Signer
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import bundle_name
from kotaemon_node.domain.errors import Overloaded
from kotaemon_node.domain.plugin_bundle import opened
from kotaemon_node.domain.plugin_releases import PluginRow, with_config, with_rollout
from kotaemon_node.ports.events import Message
from tests.fakes.plugin_rollout import MemoryRegistry, release
from tests.fakes.services import FakeClock, FakeIds

SOURCE = "from kotaemon_node.plugins import BasePlugin\n"


class Heard:
    """A bus that keeps what is told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def publish(self, message: Message) -> None:
        self.messages.append(message)


class Leader:
    """A coordinator that leads, over a folder."""

    def __init__(self, root: Path, *, seed: bytes = bytes(32)) -> None:
        self.folder = root / "plugins"
        self.folder.mkdir(exist_ok=True)
        self.store = FileArtifactStore(root / "artifacts")
        self.registry = MemoryRegistry()
        self.bus = Heard()
        self.clock = FakeClock()
        self.leads = True
        self.signer = Ed25519Signer.of_seed(seed)
        self.watch = self.starts()

    def starts(self) -> PluginFolder:
        return PluginFolder(
            self.folder,
            registry=self.registry,
            store=self.store,
            signer=self.signer,
            bus=self.bus,  # type: ignore[arg-type]
            leads=lambda: self.leads,
            clock=self.clock,
            ids=FakeIds(),
            tenant="default",
        )

    def looks(self) -> None:
        """Twice, so that it is seen to stand still, and after a while."""
        self.clock.at_s += 10
        self.watch.step()
        self.watch.step()

    def row(self, name: str = "orders") -> PluginRow:
        return self.registry.read("default").rows[name]

    def files(self, name: str = "orders") -> dict[str, bytes]:
        newest = self.row(name).newest
        assert newest is not None
        raw = self.store.get(bundle_name("default", newest.bundle))
        assert raw is not None
        return dict(opened(raw))


@pytest.fixture
def leader(tmp_path: Path) -> Leader:
    leader = Leader(tmp_path)
    (leader.folder / "orders.py").write_text(SOURCE)
    leader.looks()
    return leader


def test_a_file_is_taken_stored_signed_and_told(leader: Leader) -> None:
    row = leader.row()

    assert leader.files() == {"orders.py": SOURCE.encode()}
    assert (row.origin, row.changed_by, row.problem) == ("folder", "folder", "")
    assert row.stable is not None
    assert row.stable.key_id == leader.signer.key_id
    told = [json.loads(message.value) for message in leader.bus.messages]
    assert [(it["kind"], it["name"], it["revision"]) for it in told] == [("plugin", "orders", 1)]


def test_only_a_change_is_a_new_version(leader: Leader) -> None:
    first = leader.row().stable
    leader.looks()
    assert leader.registry.revision("default") == 1

    (leader.folder / "orders.yaml").write_text("effects: read\n")
    leader.looks()

    assert set(leader.files()) == {"orders.py", "orders.yaml"}
    assert leader.row().previous == first


def test_a_file_that_is_still_being_written_waits(leader: Leader) -> None:
    (leader.folder / "orders.py").write_text(SOURCE + "x = ")
    leader.watch.step()
    assert leader.row().problem == ""
    assert leader.registry.revision("default") == 1
    (leader.folder / "orders.py").write_text(SOURCE + "x = 1\n")
    leader.looks()

    assert leader.row().problem == ""
    assert leader.files()["orders.py"].endswith(b"x = 1\n")


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("orders.py", "def broken(:\n", "orders.py, line 1"),
        ("orders.yaml", "effects: [\n", "neither YAML"),
        ("orders.yaml", "effects: sometimes\n", "effects must be"),
        ("orders/__init__.py", "", "both orders.py and a folder"),
    ],
)
def test_a_file_with_an_error_keeps_the_old_version_and_says_why(
    leader: Leader, file: str, text: str, why: str
) -> None:
    before = leader.row().stable
    path = leader.folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    leader.looks()
    leader.looks()

    assert leader.row().stable == before
    assert why in leader.row().problem
    assert leader.registry.revision("default") == 2

    path.unlink()
    if path.parent != leader.folder:
        path.parent.rmdir()
    (leader.folder / "orders.py").write_text(SOURCE)
    leader.looks()
    assert leader.row().problem == ""
    assert leader.row().stable == before


def test_a_new_file_with_an_error_is_shown(leader: Leader) -> None:
    (leader.folder / "refunds.py").write_text("(")
    leader.looks()

    assert leader.row("refunds").stable is None
    assert "line 1" in leader.row("refunds").problem


def test_a_removed_file_removes_the_plugin_but_none_that_was_pushed(leader: Leader) -> None:
    leader.registry.set(PluginRow("pushed", release("a")))
    (leader.folder / "orders.py").unlink()
    leader.looks()

    assert leader.registry.read("default").rows.keys() == {"pushed"}


def test_a_package_with_links_inside_is_taken_and_one_that_leads_out_is_not(
    leader: Leader, tmp_path: Path
) -> None:
    # As a mounted ConfigMap lies there.
    data = leader.folder / "..2026"
    data.mkdir()
    (data / "refunds.py").write_text(SOURCE)
    (leader.folder / "refunds.py").symlink_to(data / "refunds.py")
    (tmp_path / "secret").write_text("s")
    (leader.folder / "thief").mkdir()
    (leader.folder / "thief" / "__init__.py").write_text("")
    (leader.folder / "thief" / "data.txt").symlink_to(tmp_path / "secret")
    leader.looks()

    assert leader.files("refunds") == {"refunds.py": SOURCE.encode()}
    assert "leads out" in leader.row("thief").problem


def test_what_an_operator_said_stays_when_the_next_coordinator_leads(leader: Leader) -> None:
    leader.registry.set(with_config(with_rollout(leader.row(), 10), {"url": "u"}))
    before = leader.row()

    leader.watch = leader.starts()
    leader.looks()
    assert leader.row() == before

    (leader.folder / "orders.py").write_text(SOURCE + "x = 1\n")
    leader.looks()
    assert leader.row().stable == before.stable
    assert leader.row().next is not None
    assert leader.row().next.config == {"url": "u"}  # type: ignore[union-attr]


def test_a_registry_and_a_store_that_lost_it_get_it_again(leader: Leader) -> None:
    before = leader.row().stable
    assert before is not None
    leader.registry.remove("orders")
    leader.store.delete(bundle_name("default", before.bundle))

    leader.looks()

    assert leader.row().stable == before
    assert leader.files()


def test_another_key_signs_anew_what_is_there(leader: Leader) -> None:
    version = leader.row().stable.version  # type: ignore[union-attr]
    leader.signer = Ed25519Signer.of_seed(bytes([1] * 32))
    leader.watch = leader.starts()
    leader.looks()

    stable = leader.row().stable
    assert stable is not None
    assert stable.key_id == leader.signer.key_id
    assert stable.version == version


def test_one_too_many_holds_up_no_other(leader: Leader) -> None:
    change, full = leader.registry.change, True

    def bounded(tenant: str, name: str, wanted: Any) -> Any:
        if full and name == "brooms":
            raise Overloaded("there are 32 plugins")
        return change(tenant, name, wanted)

    leader.registry.change = bounded  # type: ignore[method-assign]
    (leader.folder / "brooms.py").write_text(SOURCE)
    (leader.folder / "refunds.py").write_text(SOURCE)
    leader.looks()
    assert leader.registry.read("default").rows.keys() == {"orders", "refunds"}

    full = False
    leader.looks()
    assert "brooms" in leader.registry.read("default").rows


def test_who_does_not_lead_does_nothing(leader: Leader) -> None:
    leader.leads = False
    (leader.folder / "orders.py").unlink()
    leader.looks()
    assert "orders" in leader.registry.read("default").rows


def test_a_folder_that_is_not_there_removes_nothing(leader: Leader) -> None:
    (leader.folder / "orders.py").unlink()
    leader.folder.rmdir()

    with pytest.raises(OSError, match="No such file"):
        leader.looks()

    assert "orders" in leader.registry.read("default").rows


def test_bundles_that_nothing_names_go_after_a_while(leader: Leader) -> None:
    old = leader.row().stable
    assert old is not None
    leader.registry.set(
        PluginRow("orders", release("a"), origin="pushed", taken=leader.row().taken)
    )
    name = bundle_name("default", old.bundle)

    leader.clock.at_s += 100
    leader.watch.step()
    assert leader.store.get(name)

    leader.clock.at_s += limits.ARTIFACT_GRACE_S + 100
    leader.watch.step()
    assert leader.store.get(name) is None


def test_the_loop_goes_on_after_trouble(leader: Leader) -> None:
    leader.registry.away = True
    (leader.folder / "orders.py").write_text(SOURCE + "x = 1\n")
    loop = threading.Thread(target=leader.watch.run, daemon=True)
    loop.start()
    leader.registry.away = False
    for _ in range(600):
        if leader.registry.revision("default") > 1:
            break
        threading.Event().wait(0.1)
    leader.watch.stop()
    loop.join(60)

    assert leader.files()["orders.py"].endswith(b"x = 1\n")
