"""Whatever is done to an audit log on a real Redis and a folder, the verifier names it."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.audit_moving import AuditMoving
from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.audit_log.heads import Seen
from kotaemon_node.domain import audit_limits
from kotaemon_node.domain.audit_chain import Head, line_of
from kotaemon_node.ports.audit import NoAuditLog
from tests.audit_logs import (
    KEY,
    OLD_KEY,
    TENANT,
    NoMovingCounts,
    entries_of,
    event,
    write,
)
from tests.audit_stores import HEAD, LINES, SIGNER, Logs, Rows, told
from tests.redis_server import RedisServer


@pytest.fixture
def logs(server: RedisServer, tmp_path: Path) -> Logs:
    """Two stores with nothing in them."""
    return Logs(server.url, tmp_path)


def test_a_log_that_nobody_touched_is_whole(logs: Logs) -> None:
    """Volumes and the newest part, of two keys, verify."""
    write(logs.url, 20, keys=[OLD_KEY])
    logs.mover().sweep()
    write(logs.url, 20, keys=[KEY, OLD_KEY])
    logs.mover(moved_after_s=3600).sweep()
    found = logs.verify(keys=(KEY, OLD_KEY))
    assert (told(found), found.entries, found.volumes) == ([], 41, 1)
    assert told(logs.verify(keys=(KEY,))) == [("unknown_key", 1)]


ENTRIES = 12
Change = Callable[[Rows, int], Rows]


def _removed(rows: Rows, at: int) -> Rows:
    return rows[:at] + rows[at + 1 :]


def _swapped(rows: Rows, at: int) -> Rows:
    changed = list(rows)
    changed[at], changed[at + 1] = (rows[at][0], rows[at + 1][1]), (rows[at + 1][0], rows[at][1])
    return changed


def _doubled(rows: Rows, at: int) -> Rows:
    return [*rows[: at + 1], (rows[at + 1][0], rows[at][1]), *rows[at + 2 :]]


@pytest.fixture(scope="module")
def written(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Logs, Rows]:
    """A log of some entries, anchored, and its lines."""
    redis_server.wipe()
    logs = Logs(redis_server.url, tmp_path_factory.mktemp("artifacts"))
    write(logs.url, ENTRIES - 1)
    logs.mover(moved_after_s=3600).sweep()
    return logs, logs.lines()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_change_of_one_line_is_named(written: tuple[Logs, Rows], data: st.DataObject) -> None:
    """For any entry, removed, altered at any byte, swapped, doubled or cut off: it is named."""
    logs, rows = written
    how = data.draw(st.sampled_from(["removed", "altered", "swapped", "doubled", "cut off"]))
    at = data.draw(st.integers(0, ENTRIES - 3))
    seq = at + 1
    match how:
        case "removed":
            logs.put(_removed(rows, at))
            expected = {("missing", seq)}
        case "altered":
            line = bytearray(rows[at][1])
            spot = data.draw(st.integers(0, len(line) - 1))
            line[spot] = data.draw(st.integers(32, 126).filter(lambda new: new != line[spot]))
            logs.put([*rows[:at], (rows[at][0], bytes(line)), *rows[at + 1 :]])
            expected = {("altered", seq)}
        case "swapped":
            logs.put(_swapped(rows, at))
            expected = {("moved", seq)}
        case "doubled":
            logs.put(_doubled(rows, at))
            expected = {("twice", seq), ("missing", seq + 1)}
        case "cut off":
            logs.put(rows[:seq])
            expected = {("truncated", seq + 1)}
    logs.head_right() if how == "cut off" else logs.client.hset(
        HEAD, mapping={"seq": ENTRIES, "hash": rows[-1][1][9:73]}
    )
    named = set(told(logs.verify()))
    # Of an entry that names a key which nobody was given, more than that cannot be said.
    assert named == expected or (how == "altered" and named == {("unknown_key", seq)})


@pytest.mark.parametrize(
    "how", ["file removed", "both removed", "note removed", "line altered", "line removed"]
)
def test_every_change_of_a_volume_is_named(logs: Logs, how: str) -> None:
    """The same for what was moved to the artifact store."""
    for _ in range(3):
        write(logs.url, 10)
        logs.mover().sweep()
    volume = logs.files("volumes")[2]
    note = volume.with_name(volume.name.replace(".jsonl.gz", ".note"))
    assert note.exists()
    assert volume.suffix == ".gz"
    assert told(logs.verify()) == []
    first = int(volume.name.split("-")[0])
    content = gzip.decompress(volume.read_bytes()).splitlines()
    expected: set[tuple[str, int]]
    match how:
        case "file removed":
            volume.unlink()
            expected = {("volume_gone", first), ("missing", first)}
        case "both removed":
            volume.unlink()
            note.unlink()
            expected = {("missing", first)}
        case "note removed":
            note.unlink()
            expected = {("unsigned", first)}
        case "line altered":
            content[3] = content[3].replace(b"entry-", b"entrx-")
            volume.write_bytes(gzip.compress(b"\n".join(content) + b"\n"))
            expected = {("volume_altered", first), ("altered", first + 3)}
        case _:
            del content[3]
            volume.write_bytes(gzip.compress(b"\n".join(content) + b"\n"))
            expected = {("volume_altered", first), ("missing", first + 3)}
    assert set(told(logs.verify())) == expected


def test_the_newest_volumes_and_all_of_the_store_are_cut_off(logs: Logs) -> None:
    """An anchor that is left tells how far the log went."""
    write(logs.url, 10)
    logs.mover().sweep()
    write(logs.url, 10)
    logs.mover(moved_after_s=3600).sweep()
    logs.client.flushall()
    assert ("truncated", 12) in told(logs.verify())
    assert ("head", 0) in told(logs.verify())


def test_what_is_cut_off_in_both_stores_is_named_by_the_logs_of_processes(logs: Logs) -> None:
    """Who may write both can remove what was signed; not the line that a pod's log has."""
    write(logs.url, 10)
    logs.mover(moved_after_s=3600).sweep()
    last = entries_of(logs.url)[-1]
    seen = {last.chain: {last.seq: [Seen(last.seq, last.hash, "seen by a process")]}}
    assert told(logs.verify(heads={TENANT: seen})) == []
    logs.put(logs.lines()[:7])
    logs.head_right()
    for note in logs.files("anchors"):
        note.unlink()
    assert told(logs.verify()) == []
    assert told(logs.verify(heads={TENANT: seen})) == [("truncated", 8)]
    logs.client.flushall()
    assert ("truncated", 1) in told(logs.verify(heads={TENANT: seen}))


def test_without_a_key_a_log_made_anew_is_named_by_what_was_signed(logs: Logs) -> None:
    """Whoever makes all hashes anew, which needs no key, cannot make the anchor anew."""
    write(logs.url, 10, keys=[])
    logs.mover(moved_after_s=3600).sweep()
    head, rows = Head.beginning(entries_of(logs.url)[0].chain), []
    for number in range(11):
        line, head = line_of(event(99), behind=head, at_ms=number, entry_id="x", key=None)
        rows.append((f"{head.chain}-{head.seq}", line))
    logs.put(rows)
    logs.head_right()
    assert told(logs.verify(keys=())) == [("anchor", 11)]


def test_without_a_key_an_entry_that_was_replaced_is_named_by_the_next(logs: Logs) -> None:
    """Its own hash is right, since anybody can make one; it is not the one that others follow."""
    write(logs.url, 6, keys=[])
    rows, entries = logs.lines(), entries_of(logs.url)
    line, _ = line_of(event(99), behind=entries[2].head, at_ms=0, entry_id="x", key=None)
    logs.put([*rows[:3], (rows[3][0], line), *rows[4:]])
    assert told(logs.verify(keys=())) == [("unlinked", 5)]


def test_with_a_key_a_log_made_anew_without_it_is_named(logs: Logs) -> None:
    """Hashes that need no key do not pass where there is one."""
    write(logs.url, 4, keys=[KEY])
    last = entries_of(logs.url)[-1]
    line, head = line_of(event(99), behind=last.head, at_ms=0, entry_id="x", key=None)
    logs.client.xadd(LINES, {"e": line}, id=f"{head.chain}-{head.seq}")
    logs.head_right()
    assert told(logs.verify()) == [("unkeyed", 6)]
    write(logs.url, 4, keys=[])


def test_segments_move_while_others_write(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two writes a leader may move: nothing is lost, nothing is there twice."""
    monkeypatch.setattr(audit_limits, "AUDIT_VOLUME_ENTRIES_MAX", 7)
    dice = random.Random(7)
    for _ in range(25):
        write(logs.url, dice.randint(1, 6))
        if dice.random() < 0.5:
            logs.mover().sweep()
        assert told(logs.verify()) == []
    assert len(logs.files("volumes")) > 10


def test_a_leader_that_dies_between_two_steps_leaves_a_whole_log(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Volume written, note not; note written, entries not trimmed: the next one goes on."""
    write(logs.url, 5)
    with monkeypatch.context() as patch:
        patch.setattr(
            type(logs.store), "trim", lambda *_, **__: (_ for _ in ()).throw(OSError("killed"))
        )
        with pytest.raises(OSError, match="killed"):
            logs.mover().move(TENANT)
    assert told(logs.verify()) == []
    write(logs.url, 5)
    logs.mover().sweep()
    assert told(logs.verify()) == []
    assert logs.verify().entries == 11


def test_what_is_too_old_goes_and_the_rest_verifies(logs: Logs) -> None:
    """Retirement removes whole volumes, behind a signed note; without the note it is named."""
    for _ in range(3):
        write(logs.url, 5)
        logs.mover().sweep()
    events: list[str] = []

    class Log:
        def record(self, event: object) -> None:
            events.append(event.action)  # type: ignore[attr-defined]

    write(logs.url, 2)
    logs.mover(kept_s=0.000_001, moved_after_s=3600, log=Log()).sweep()
    assert events == ["audit.retired"]
    assert logs.files("volumes") == []
    found = logs.verify()
    assert (told(found), found.entries) == ([], 2)
    [note] = logs.files("retired")
    note.unlink()
    assert told(logs.verify()) == [("missing", 1)]


def test_a_note_of_another_key_counts_for_nothing(logs: Logs) -> None:
    """Who has the artifact store and not the key cannot excuse what they removed."""
    write(logs.url, 5)
    logs.mover().sweep()
    write(logs.url, 5)
    forger = AuditMoving(
        logs.store,
        logs.artifacts,
        signer=Ed25519Signer.of_seed(b"f" * 32),
        verifier=TrustedKeys([SIGNER.public_key]),
        log=NoAuditLog(),
        leads=lambda: True,
        clock=SystemClock(),
        counts=NoMovingCounts(),
        kept_s=0.000_001,
        moved_after_s=3600,
    )
    forger.sweep()
    assert {kind for kind, _ in told(logs.verify())} == {"missing", "unsigned"}


def test_a_wiped_store_is_named_and_a_later_part_verifies(logs: Logs) -> None:
    """A log that begins again is a finding; from a later time on it is whole."""
    write(logs.url, 5)
    logs.mover().sweep()
    logs.client.flushall()
    write(logs.url, 5)
    found = logs.verify()
    assert {kind for kind, _ in told(found)} == {"begun_again"}
    assert told(logs.verify(since=entries_of(logs.url)[0].at)) == []
