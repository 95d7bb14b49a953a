"""A disk that fills while a segment is written is an error, not the end of the process."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kotaemon_node.adapters.faiss import FaissSegmentFormat, layout
from kotaemon_node.domain.knowledge import Passage, SegmentEntry
from kotaemon_node.ports.encoder import SpaceVectors

ROWS = 600


def write(folder: Path) -> SegmentEntry:
    folder.mkdir()
    passages = [
        Passage(
            id=str(row),
            document="a.md",
            revision="r",
            title="t",
            heading=(),
            page=None,
            language="en",
            span=(row, row + 1),
            text="x",
        )
        for row in range(ROWS)
    ]
    terms = [{f"{word}": 1 for word in range(row % 50 + 1)} for row in range(ROWS)]
    vectors = np.random.default_rng(0).standard_normal((ROWS, 64)).astype(np.float32)
    form = FaissSegmentFormat(flat_rows_max=100)
    return form.write(folder, passages, terms, {"all": SpaceVectors(np.arange(ROWS), vectors)})


def test_nothing_is_written_through_a_mapping_to_where_the_disk_has_no_room_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, mapped = np.memmap, []

    def looked_at(path: Path, *arguments: Any, **named: Any) -> Any:
        # "w+" makes the file itself, with holes for all of it
        assert named.get("mode") == "r+"
        found = os.stat(path)
        assert found.st_blocks * 512 >= found.st_size > 0
        mapped.append(path.name)
        return real(path, *arguments, **named)

    monkeypatch.setattr(np, "memmap", looked_at)
    write(tmp_path / "segment")
    assert set(mapped) == {layout.POSTINGS, layout.index_file("all")}


def test_a_full_disk_is_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "segment")
