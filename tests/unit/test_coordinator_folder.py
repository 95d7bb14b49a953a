"""What counts as a file of a knowledge base, and from when on."""

import os
import socket
from pathlib import Path

import pytest

from coordinator.folder import FileChanged, KnowledgeFolder, Scan
from coordinator.walking import FolderMissing
from kotaemon_node.domain import limits
from tests.fakes.knowledge_ports import HandClock


class Watched:
    """A folder and the clock by which it is looked at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = HandClock()
        self.folder = KnowledgeFolder(root, clock=self.clock)

    def later(self, seconds: float = limits.FILE_STABLE_S) -> Scan:
        self.clock.sleep(seconds)
        return self.folder.scan()

    def settled(self) -> Scan:
        self.folder.scan()
        return self.later()

    def documents(self) -> dict[str, list[str]]:
        return {kb: sorted(files) for kb, files in self.settled().files.items()}


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    root = tmp_path / "knowledge"
    root.mkdir()
    return Watched(root)


def write(root: Path, name: str, content: str = "text") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_the_first_folder_is_the_knowledge_base_and_top_files_are_default(watched: Watched) -> None:
    for name in ("a.md", "default/b.md", "shop/c.md", "shop/deep/er/d.md", "shop/退货.md"):
        write(watched.root, name)
    assert watched.documents() == {
        "default": ["a.md", "default/b.md"],
        "shop": ["shop/c.md", "shop/deep/er/d.md", "shop/退货.md"],
    }


def test_hidden_and_temporary_files_are_not_there(watched: Watched) -> None:
    names = ".a.md ~$a.md a.md~ a.md.swp a.part a.tmp a.TMP #a.md# .git/a.md .x/y/z.md"
    for name in names.split():
        write(watched.root, name)
    scan = watched.settled()
    assert (scan.files, scan.ignored, scan.pending) == ({}, {}, frozenset())


def test_a_file_that_is_being_written_is_pending_until_it_rests(watched: Watched) -> None:
    path = write(watched.root, "a.md", "first")
    assert watched.folder.scan().pending == {"a.md"}
    write(watched.root, "a.md", "first and second")
    assert watched.later().pending == {"a.md"}
    settled = watched.later()
    assert settled.pending == frozenset()
    state = settled.files["default"]["a.md"]
    assert watched.folder.read(state) == path.read_bytes()


def test_two_looks_in_a_moment_do_not_make_a_file_rest(watched: Watched) -> None:
    write(watched.root, "a.md")
    watched.folder.scan()
    assert watched.later(limits.FILE_STABLE_S / 2).pending == {"a.md"}
    assert watched.later(limits.FILE_STABLE_S / 2).pending == frozenset()


def test_a_changed_file_keeps_its_old_state_until_it_rests(watched: Watched) -> None:
    write(watched.root, "a.md", "old")
    old = watched.settled().files["default"]["a.md"]
    write(watched.root, "a.md", "newer")
    scan = watched.later()
    assert scan.pending == {"a.md"}
    assert "default" not in scan.files
    new = watched.later().files["default"]["a.md"]
    assert new.revision != old.revision
    with pytest.raises(FileChanged):
        watched.folder.read(old)


def test_a_file_that_never_rests_holds_up_nothing_for_ever(watched: Watched) -> None:
    scan = watched.folder.scan()
    for at in range(int(limits.FILE_PENDING_MAX_S / limits.FILE_STABLE_S) + 2):
        write(watched.root, "log.txt", "line\n" * (at + 1))
        scan = watched.later()
    assert scan.pending == frozenset()
    assert "keeps changing" in str(scan.files["default"]["log.txt"].problem)

    assert watched.later().files["default"]["log.txt"].problem is None


def test_a_deleted_file_is_gone_only_when_it_stays_away(watched: Watched) -> None:
    path = write(watched.root, "a.md")
    first = watched.settled().files
    path.unlink()
    assert watched.later().pending == {"a.md"}
    write(watched.root, "a.md")
    assert watched.later().pending == {"a.md"}
    assert watched.later().files == first
    path.unlink()
    watched.later()
    scan = watched.later()
    assert (scan.files, scan.pending) == ({}, frozenset())


def test_a_link_may_point_inside_the_folder_and_nowhere_else(
    watched: Watched, tmp_path: Path
) -> None:
    secret = write(tmp_path, "secret.md")
    write(watched.root, "..data/real.md", "as volumes of Kubernetes do")
    (watched.root / "good.md").symlink_to("..data/real.md")
    (watched.root / "bad.md").symlink_to(secret)
    (watched.root / "up.md").symlink_to("../secret.md")
    (watched.root / "nothing.md").symlink_to("gone.md")
    (watched.root / "folder").symlink_to(tmp_path)
    (watched.root / "loop.md").symlink_to("loop.md")
    scan = watched.settled()
    assert list(scan.files["default"]) == ["good.md"]
    assert scan.ignored == {
        "bad.md": "it is a link that leaves the knowledge folder",
        "folder": "it is a link that leaves the knowledge folder",
        "loop.md": "it is a link to nothing",
        "nothing.md": "it is a link to nothing",
        "up.md": "it is a link that leaves the knowledge folder",
    }


def test_a_link_that_is_changed_between_scan_and_reading_is_not_followed(
    watched: Watched, tmp_path: Path
) -> None:
    secret = write(tmp_path, "secret.md", "text")
    write(watched.root, "real.md", "text")
    link = watched.root / "a.md"
    link.symlink_to("real.md")
    state = watched.settled().files["default"]["a.md"]
    link.unlink()
    link.symlink_to(secret)
    with pytest.raises(FileChanged):
        watched.folder.read(state)


def test_names_that_no_id_can_have_are_reported(watched: Watched) -> None:
    write(watched.root, "bad name/a.md")
    write(watched.root, "退货/a.md")
    write(watched.root, "tab\there.md")
    write(watched.root, "zero\u200bwidth.md")
    Path(os.fsdecode(os.fsencode(watched.root) + b"/broken\xff.md")).write_text("x")
    scan = watched.settled()
    assert scan.files == {}
    assert len(scan.ignored) == 5
    assert "must match" in scan.ignored["bad name"]
    assert "not valid UTF-8" in scan.ignored["broken\\udcff.md"]


def test_what_is_no_regular_file_is_reported_and_blocks_nobody(watched: Watched) -> None:
    os.mkfifo(watched.root / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(watched.root / "socket.md"))
        assert set(watched.settled().ignored.values()) == {"it is not a regular file"}


def test_a_huge_file_is_not_even_read(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_BYTES_MAX", 1024 * 1024)
    for name in ("a.md", "a.mp4"):
        with (watched.root / name).open("wb") as file:
            file.truncate(3 * 1024 * 1024)
    files = watched.settled().files["default"]
    assert files["a.md"].problem == "the file has 3 MB, the limit is 1 MB"
    assert str(files["a.mp4"].problem).startswith(".mp4 files are not supported")
    assert files["a.md"].revision == ""


def test_a_missing_folder_says_nothing_about_its_files(watched: Watched) -> None:
    write(watched.root, "a.md")
    before = watched.settled()
    away = watched.root.with_name("away")
    watched.root.rename(away)
    with pytest.raises(FolderMissing):
        watched.later()
    away.rename(watched.root)
    assert watched.later() == before
