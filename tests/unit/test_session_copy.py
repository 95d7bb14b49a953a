"""What the archive keeps of a session can be read back, and what is damaged is known."""

import hashlib
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from coordinator.archiving import Archiving
from coordinator.metrics import CoordinatorMetrics
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import CorruptArtifact, StoreUnavailable, Unavailable
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import CopyName, SessionCopy, unpacked
from kotaemon_node.ports.archive import IdleEntry
from kotaemon_node.settings import Settings

texts = st.text(max_size=30)
ids = st.from_regex(r"[A-Za-z0-9_.-]{1,40}", fullmatch=True)
rows = st.one_of(
    texts.map(lambda text: b"{" + text.encode()),
    texts.map(lambda text: zlib.compress(text.encode())),
)


def chain(turns: Sequence[bytes]) -> str:
    hash_ = ""
    for row in turns:
        hash_ = hashlib.sha1(hash_.encode() + row, usedforsecurity=False).hexdigest()
    return hash_


def copy_of(turns: Sequence[bytes], *, key: SessionKey, **more: Any) -> SessionCopy:
    meta = {
        "epoch": "e-1",
        "version": str(len(turns)),
        "hash": chain(turns),
        "active_ms": "1700000000123",
        **more.pop("meta", {}),
    }
    return SessionCopy(key, meta, tuple(turns), more.get("seen", {}), more.get("past", {}))


@given(
    turns=st.lists(rows, max_size=4),
    seen=st.dictionaries(ids, texts, max_size=3),
    past=st.dictionaries(texts, texts, max_size=3),
    title=texts,
    session_id=ids,
)
def test_what_is_packed_is_unpacked(
    turns: list[bytes], seen: dict[str, str], past: dict[str, str], title: str, session_id: str
) -> None:
    key = SessionKey("default", session_id)
    copy = copy_of(turns, key=key, seen=seen, past=past, meta={"title": title})
    assert unpacked(copy.packed()) == copy


@given(
    active_ms=st.integers(0, 10**13),
    version=st.integers(0, 10**7),
    epoch=st.text(min_size=1, max_size=40),
    session_id=ids,
)
def test_names_are_read_back_and_say_nothing_of_the_id(
    active_ms: int, version: int, epoch: str, session_id: str
) -> None:
    name = CopyName(active_ms, version, epoch)
    spelt = name.of(SessionKey("default", session_id))
    assert CopyName.read(spelt) == name
    assert spelt.startswith("tenants/default/sessions/")
    assert len(session_id) < 6 or session_id not in spelt


def test_names_of_one_session_sort_by_time_then_version() -> None:
    key = SessionKey("default", "s")
    order = [CopyName(9, 9, "z"), CopyName(10, 2, "b"), CopyName(10, 11, "a")]
    assert sorted(name.of(key) for name in order) == [name.of(key) for name in order]
    assert sorted(order) == order


@pytest.mark.parametrize(
    "name", ["", "x", "1-2.json.z", "a-1-e.json.z", "1-1-e.json", "1-b-e.json.z"]
)
def test_other_names_are_no_copies(name: str) -> None:
    assert CopyName.read(f"tenants/default/sessions/aa/bb/{name}") is None


def test_a_copy_that_lacks_or_changes_something_is_refused() -> None:
    key = SessionKey("default", "s")
    good = copy_of([b'{"a":1}', b'{"b":2}'], key=key)
    fewer = SessionCopy(key, good.meta, good.turns[:1], {}, {})
    other = SessionCopy(key, good.meta, (b'{"a":1}', b'{"b":3}'), {}, {})
    for damaged in (fewer.packed(), other.packed(), good.packed()[:-5], b"", b"{}"):
        with pytest.raises(CorruptArtifact):
            unpacked(damaged)
    newer = zlib.compress(b'{"format":2}')
    with pytest.raises(Unavailable, match="format 2"):
        unpacked(newer)


class Sweeps:
    """``ports.archive.ColdSessions`` that only counts how often it is asked."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        self.asked = threading.Semaphore(0)

    def due(self, *, rested_s: float, limit: int) -> Sequence[IdleEntry]:
        self.asked.release()
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("away") if self.fails % 2 else RuntimeError("a bug")
        return []


def test_who_leads_sweeps_and_goes_on_after_whatever_fails(tmp_path: Path) -> None:
    leads, cold, metrics = threading.Event(), Sweeps(fails=3), CoordinatorMetrics()
    archiving = Archiving(
        cold,  # type: ignore[arg-type]
        FileArtifactStore(tmp_path),
        leads=leads.is_set,
        metrics=metrics.archive,
        clock=SystemClock(),
        known=lambda: ["default"],
        after_s=0.01,
        kept_s=90,
    )
    task = threading.Thread(target=archiving.run, daemon=True)
    task.start()
    assert not cold.asked.acquire(timeout=0.1)
    leads.set()
    for _ in range(5):
        assert cold.asked.acquire(timeout=60)
    archiving.stop()
    task.join(60)
    assert not task.is_alive()
    shown = metrics.exposition().decode()
    assert 'kotaemon_archive_failures_total{reason="error"} 2.0' in shown
    assert 'kotaemon_archive_failures_total{reason="unavailable"} 1.0' in shown


def test_sessions_are_archived_well_before_their_life_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_TTL_S", "1000")
    assert Settings().archived_after_s == 500
    monkeypatch.setenv("ARCHIVE_AFTER_S", "0")
    assert Settings().archived_after_s == 0
    monkeypatch.setenv("ARCHIVE_AFTER_S", "1000")
    with pytest.raises(ValidationError, match="ARCHIVE_AFTER_S"):
        Settings()
    monkeypatch.setenv("ARCHIVE_AFTER_S", "10")
    monkeypatch.setenv("ARCHIVE_KEPT_S", "999")
    with pytest.raises(ValidationError, match="ARCHIVE_KEPT_S"):
        Settings()
