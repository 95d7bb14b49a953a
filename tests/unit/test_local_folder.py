"""The data folder, and what is said when it cannot be used."""

from pathlib import Path

import pytest

from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import LOG_TAIL_LINES, DataFolder, write_whole


def test_a_place_that_cannot_hold_a_folder_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(LocalError, match=r"cannot be written \(Not a directory\).*--data"):
        DataFolder(tmp_path / "file" / "data").prepare()


def test_only_the_owner_reaches_the_sockets(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")

    folder.prepare()

    assert folder.run.stat().st_mode & 0o777 == 0o700


def test_two_starts_at_once_are_told_apart(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()

    with (
        folder.sole_start(),
        pytest.raises(LocalError, match="is starting a cluster"),
        folder.sole_start(),
    ):
        pass
    with folder.sole_start():
        pass  # the first one is over


def test_the_tail_of_a_log_is_its_last_lines_whatever_the_bytes(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    lines = b"".join(b"line %d\n\n" % number for number in range(100_000))
    folder.log("worker-0").write_bytes(lines + b"caf\xe9 ends\n")

    tail = folder.log_tail("worker-0")

    assert len(tail) == LOG_TAIL_LINES
    assert tail[-2:] == ["line 99999", "caf\ufffd ends"]
    assert folder.log_tail("worker-1") == []


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    write_whole(path, "old")

    write_whole(path, "new")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
