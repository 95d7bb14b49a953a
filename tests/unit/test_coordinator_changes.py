"""How people change folders: renames, saves of editors, bursts; no text is missing meanwhile."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator import folder as folders
from coordinator import watch as watches
from coordinator.folder import KnowledgeFolder
from coordinator.watch import FolderWatch
from kotaemon_node.domain import limits
from tests.fakes.coordination import SteppedCoordinator, World
from tests.fakes.knowledge_ports import HandClock


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stepped(coordinator: SteppedCoordinator, look: Callable[[], None], *, steps: int = 12) -> None:
    """Take steps a tenth of a second apart, and look after each."""
    for _ in range(steps):
        coordinator.lease.renew()
        coordinator.loop.guarded_step()
        look()
        coordinator.world.clock.sleep(0.1)


def test_a_rename_that_is_met_halfway_is_one_change(tmp_path: Path) -> None:
    """The scan lists the new name's folder before, and the old name's folder after the rename."""
    clock = HandClock()
    folder = KnowledgeFolder(tmp_path, clock=clock)
    (tmp_path / "a.md").write_text("text")
    folder.scan()
    clock.sleep(limits.FILE_STABLE_S)
    assert set(folder.scan().files["default"]) == {"a.md"}

    (tmp_path / "a.md").rename(tmp_path / ".between")
    folder.scan()
    (tmp_path / ".between").rename(tmp_path / "b.md")
    clock.sleep(0.2)
    folder.scan()
    clock.sleep(0.1)  # a.md is missing for longer than files need to come to rest
    scan = folder.scan()
    assert set(scan.pending) == {"a.md", "b.md"}
    clock.sleep(0.2)
    scan = folder.scan()
    assert (set(scan.files["default"]), scan.pending) == ({"b.md"}, frozenset())


def test_a_file_that_moves_and_never_rests_does_not_keep_its_old_name(tmp_path: Path) -> None:
    clock = HandClock()
    folder = KnowledgeFolder(tmp_path, clock=clock)
    (tmp_path / "a.md").write_text("text")
    folder.scan()
    (tmp_path / "a.md").rename(tmp_path / "b.md")
    for number in range(int(limits.FILE_PENDING_MAX_S / 0.2) + 5):
        (tmp_path / "b.md").write_text("text" * number)
        scan = folder.scan()
        clock.sleep(0.2)
    assert "a.md" not in scan.pending


def test_of_a_renamed_folder_every_text_is_found_all_the_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GENERATION_PASSAGES_MAX", 3)
    texts = [f"Sentence {number} of twelve." for number in range(12)]
    world.write({f"default/old/{n}.md": text for n, text in enumerate(texts)})
    coordinator = SteppedCoordinator(world)
    coordinator.settle(steps=10)
    assert sorted(world.texts()) == sorted(texts)
    began = world.manifest().generation

    home = world.knowledge / "default"
    (home / "old").rename(home / "new")

    def whole() -> None:
        assert set(world.texts()) == set(texts)

    stepped(coordinator, whole, steps=16)
    assert world.manifest().generation > began + 1
    assert sorted(world.texts()) == sorted(texts)
    assert {it.document for it in world.manifest().documents} == {
        f"default/new/{number}.md" for number in range(12)
    }


def _in_place(path: Path) -> Iterator[None]:
    path.write_text("")
    yield
    path.write_text("The se")
    yield
    path.write_text("The second.")


def _backup_and_new(path: Path) -> Iterator[None]:
    path.rename(path.with_name("a.md~"))
    yield
    path.write_text("The second.")
    yield
    path.with_name("a.md~").unlink()


def _renamed_over(path: Path) -> Iterator[None]:
    aside = path.with_name(".a.md.swp")
    aside.write_text("The second.")
    yield
    aside.replace(path)


def _deleted_and_new(path: Path) -> Iterator[None]:
    path.unlink()
    yield
    path.write_text("The second.")


@pytest.mark.parametrize("save", [_in_place, _backup_and_new, _renamed_over, _deleted_and_new])
def test_however_an_editor_saves_only_whole_texts_are_found(
    world: World, save: Callable[[Path], Iterator[None]]
) -> None:
    world.write({"a.md": "The first."})
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    seen: list[tuple[str, ...]] = []

    def look() -> None:
        seen.append(tuple(world.texts()))

    for _ in save(world.knowledge / "a.md"):
        stepped(coordinator, look, steps=1)
    stepped(coordinator, look)
    assert list(dict.fromkeys(seen)) == [("The first.",), ("The second.",)]
    assert world.manifest().generation == 2
    assert [it.document for it in world.manifest().documents] == ["a.md"]


def test_a_rename_of_case_alone_is_a_rename(world: World) -> None:
    world.write({"guide.md": "Text."})
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    (world.knowledge / "guide.md").rename(world.knowledge / "Guide.md")
    stepped(coordinator, lambda: world.texts() == ["Text."] or pytest.fail("it is missing"))
    assert [it.document for it in world.manifest().documents] == ["Guide.md"]
    assert world.manifest().generation == 2


def test_hundreds_of_changes_and_a_folder_that_goes_are_few_generations(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write({f"default/many/{n}.md": f"The first {n}." for n in range(300)})
    world.write({"a.md": "It stays."})
    coordinator = SteppedCoordinator(world)
    coordinator.settle(steps=6)
    began = world.manifest().generation
    world.write({f"default/many/{n}.md": f"The second {n}." for n in range(300)})
    coordinator.settle(steps=6)
    changed = world.manifest()
    assert sum(it.status == "indexed" for it in changed.documents) == 301
    assert changed.generation - began <= 4
    for path in (world.knowledge / "default" / "many").iterdir():
        path.unlink()
    (world.knowledge / "default" / "many").rmdir()
    coordinator.settle()
    assert world.texts() == ["It stays."]
    assert world.manifest().generation == changed.generation + 1


def test_a_file_that_may_not_be_read_says_so_and_is_read_when_it_may(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write({"a.md": "Open.", "b.md": "Closed."})
    opened = folders._opened

    def refusing(path: Path) -> Any:
        if path.name == "b.md":
            raise PermissionError(13, "Permission denied")
        return opened(path)

    coordinator = SteppedCoordinator(world)
    with monkeypatch.context() as patched:
        patched.setattr(folders, "_opened", refusing)
        coordinator.settle()
    states = {it.document: (it.status, it.reason) for it in world.manifest().documents}
    assert states["b.md"] == ("failed", "it cannot be read: permission denied")
    assert world.texts() == ["Open."]
    (world.knowledge / "b.md").chmod(0o644)  # which changes its times, as any mending does
    coordinator.settle()
    assert world.texts() == ["Open.", "Closed."]


def test_what_no_scan_would_look_at_wakes_nobody(tmp_path: Path) -> None:
    # `kotaemon up --knowledge .` has its data folder there, whose files change all the time.
    own, tenants = tmp_path / ".data" / "redis", tmp_path / ".tenants" / "acme"
    told: set[str] = set()
    for folder in (own, tenants):
        folder.mkdir(parents=True)
    watch = FolderWatch(tmp_path, hint=told.update)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        for number in range(600):  # until the watch has begun
            (own / "appendonly.aof").write_text(str(number))
            (tenants / "theirs.md").write_text(str(number))
            (tmp_path / "ours.md").write_text(str(number))
            if {"ours.md", ".tenants/acme/theirs.md"} <= told:
                break
            thread.join(0.1)
    finally:
        watch.stop()
        thread.join(60)

    assert told == {"ours.md", ".tenants/acme/theirs.md"}


def test_without_notifications_the_watch_tries_again_and_the_scan_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()
    woken = threading.Event()
    calls: list[int] = []

    def exhausted(*_: Any, **__: Any) -> Iterator[set[Any]]:
        calls.append(1)
        if len(calls) < 3:
            raise OSError(28, "inotify watch limit reached")
        yield {("added", "a.md")}
        tried.set()

    monkeypatch.setattr(watches, "watch", exhausted)
    monkeypatch.setattr(watches, "_RETRY_S", 0.01)
    watch = FolderWatch(world.knowledge, hint=lambda _: woken.set())
    thread = threading.Thread(target=watch.run)
    thread.start()
    assert tried.wait(60)
    watch.stop()
    thread.join(60)
    assert woken.is_set()
    # Nobody woke the loop: its own period finds the file.
    coordinator = SteppedCoordinator(world)
    coordinator.lease.renew()
    coordinator.loop.guarded_step()
    world.write({"a.md": "Found."})
    assert coordinator.loop.step() == limits.FILE_STABLE_S
    world.clock.sleep(limits.FILE_STABLE_S)
    assert coordinator.loop.step() <= limits.FOLDER_SCAN_S
    assert world.texts() == ["Found."]
