"""A file that was verified is not read again, until anything at all happened to it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kotaemon_node.adapters.faiss import VerifiedMarks, layout
from kotaemon_node.adapters.system import SystemClock

CONTENT = b"0123456789" * 100
SETTLED_S = 10.0


class Ahead(SystemClock):
    """A clock that is ahead of the times of files, so that they look as if they had settled."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead_s = ahead_s

    def now_s(self) -> float:
        return super().now_s() + self.ahead_s


class Reads:
    """Counts the files that were read whole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._real = layout.sha256_of
        monkeypatch.setattr(layout, "sha256_of", self._counted)

    def _counted(self, path: Path) -> str:
        self.count += 1
        return self._real(path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "vectors"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def sha256(path: Path) -> str:
    return layout.sha256_of(path)


@pytest.fixture
def clock() -> Ahead:
    return Ahead(SETTLED_S)


def marks(tmp_path: Path, clock: Ahead) -> VerifiedMarks:
    return VerifiedMarks(tmp_path / "marks", clock=clock, large_bytes=100)


def test_a_file_is_read_once_by_all_processes_of_a_machine(
    tmp_path: Path, path: Path, sha256: str, clock: Ahead, reads: Reads
) -> None:
    for _ in range(3):
        assert marks(tmp_path, clock).sha256_of(path, sha256) == sha256
    assert reads.count == 1


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x")


def overwrite_and_set_the_time_back(path: Path) -> None:
    before = path.stat()
    overwrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"x" + CONTENT[1:])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize("change", [overwrite, overwrite_and_set_the_time_back, replace])
def test_whatever_changes_a_file_has_it_read_again(
    tmp_path: Path, path: Path, sha256: str, clock: Ahead, change: Callable[[Path], None]
) -> None:
    assert marks(tmp_path, clock).sha256_of(path, sha256) == sha256
    change(path)
    assert marks(tmp_path, clock).sha256_of(path, sha256) != sha256


def test_a_file_that_changed_a_moment_ago_is_not_marked(
    tmp_path: Path, path: Path, sha256: str, reads: Reads
) -> None:
    now = Ahead(0.0)
    for _ in range(2):
        marks(tmp_path, now).sha256_of(path, sha256)
    assert reads.count == 2


def test_another_checksum_is_never_taken_from_a_mark(
    tmp_path: Path, path: Path, sha256: str, clock: Ahead
) -> None:
    for _ in range(2):
        assert marks(tmp_path, clock).sha256_of(path, sha256) == sha256
        assert marks(tmp_path, clock).sha256_of(path, "0" * 64) == sha256


def test_marks_do_not_hold_for_ever_and_small_files_have_none(
    tmp_path: Path, path: Path, sha256: str, clock: Ahead, reads: Reads
) -> None:
    marks(tmp_path, clock).sha256_of(path, sha256)
    clock.ahead_s += 90_000
    marks(tmp_path, clock).sha256_of(path, sha256)
    assert reads.count == 2
    small = VerifiedMarks(tmp_path / "marks", clock=clock, large_bytes=len(CONTENT) + 1)
    small.sha256_of(path, sha256)
    assert reads.count == 3


def test_a_folder_that_others_may_write_to_is_not_believed(
    tmp_path: Path, path: Path, sha256: str, clock: Ahead, reads: Reads
) -> None:
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks").chmod(0o777)
    for _ in range(2):
        marks(tmp_path, clock).sha256_of(path, sha256)
    assert reads.count == 2
    assert list((tmp_path / "marks").iterdir()) == []


def test_no_folder_is_no_trouble(path: Path, sha256: str, clock: Ahead) -> None:
    for _ in range(2):
        found = VerifiedMarks(path / "below a file", clock=clock, large_bytes=1)
        assert found.sha256_of(path, sha256) == sha256
