"""Exported lines of the audit log are verified with the keys alone; logs of processes tell more."""

import json
from collections.abc import Mapping, Sequence

import pytest

from kotaemon_node.audit_log.exported import ExportedLines
from kotaemon_node.audit_log.findings import Verification
from kotaemon_node.audit_log.heads import SeenByChain, read_heads
from kotaemon_node.cli.audit import lines_from
from kotaemon_node.domain import audit_limits
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.audit_chain import BEGUN, Head, line_of, written_time
from tests.audit_logs import KEY, OLD_KEY, event

CHAIN, LATER = 1_700_000_000_000, 1_800_000_000_000
NO_HEADS: Mapping[str, SeenByChain] = {}


def log_of(
    count: int, *, chain: int = CHAIN, tenant: str = "default", key: object = KEY
) -> tuple[list[bytes], list[Head]]:
    """Return the lines of a chain, and the head behind each."""
    head, lines, heads = Head.beginning(chain), [], []
    for number in range(count):
        line, head = line_of(
            event(number, tenant=tenant),
            behind=head,
            at_ms=chain + number,
            entry_id=f"e{number}",
            key=key,  # type: ignore[arg-type]
        )
        lines.append(line)
        heads.append(head)
    return lines, heads


def shown(head: Head, *, tenant: str = "default") -> bytes:
    """Return a process's line that the log went so far, as ``docker compose logs`` prints it."""
    said = {"event": "audit_head", "tenant": tenant, "chain": str(head.chain), "at": "noon"}
    said |= {"seq": head.seq, "hash": head.hash, "entries": 1}  # type: ignore[dict-item]
    return b"worker-1  | " + json.dumps(said).encode() + b"\n"


def verified(
    lines: Sequence[bytes], *, heads: Sequence[bytes] = (), keys: Sequence[object] = (KEY,)
) -> list[Verification]:
    return list(ExportedLines(keys=keys, heads=read_heads(heads)).take_all(lines))  # type: ignore[arg-type]


def told(found: Sequence[Verification]) -> list[tuple[str, str, int]]:
    return [(one.tenant, it.kind, it.seq) for one in found for it in one.findings]


def test_lines_that_nobody_touched_are_whole() -> None:
    """Of several tenants, of any beginning, with the breaks that an editor leaves."""
    lines, heads = log_of(8)
    others, _ = log_of(3, tenant="shop")
    found = verified([*lines[2:], b"\n", *others], heads=[shown(heads[0]), shown(heads[-1])])
    assert told(found) == []
    assert [(one.tenant, one.entries) for one in found] == [("default", 6), ("shop", 3)]
    [span] = found[0].spans
    assert (span.first, span.last, span.hash) == (3, 8, heads[-1].hash)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("removed", ("missing", 4)),
        ("altered", ("altered", 4)),
        ("swapped", ("moved", 4)),
        ("doubled", ("twice", 4)),
        ("of another tenant", ("altered", 4)),
        ("unreadable", ("altered", 4)),
    ],
)
def test_what_was_done_to_a_line_is_named(how: str, expected: tuple[str, int]) -> None:
    """And nothing else: what is behind it goes on."""
    lines, _ = log_of(8)
    match how:
        case "removed":
            del lines[3]
        case "altered":
            lines[3] = lines[3].replace(b"ann", b"bob")
        case "swapped":
            lines[3], lines[4] = lines[4], lines[3]
        case "doubled":
            lines.insert(4, lines[3])
        case "of another tenant":
            lines[3] = lines[3].replace(b'"tenant":"default"', b'"tenant":"shop"')
        case _:
            lines[3] = lines[3][:50]
    assert told(verified(lines)) == [("default", *expected)]


def test_without_the_key_nothing_passes_for_whole() -> None:
    """A key that is not given is named once; hashes that anybody can make are told apart."""
    lines, _ = log_of(4, key=OLD_KEY)
    assert told(verified(lines)) == [("default", "unknown_key", 1)]
    unkeyed, _ = log_of(4, key=None)
    assert told(verified([*unkeyed, *log_of(2, tenant="shop")[0]])) == [("default", "unkeyed", 0)]
    assert told(verified(unkeyed, keys=())) == []


def test_logs_of_processes_tell_what_was_cut_off_or_made_anew() -> None:
    """The lines alone cannot know that there was more; who saw it can."""
    lines, heads = log_of(8)
    assert told(verified(lines[:5])) == []
    cut = verified(lines[:5], heads=[b"noise\n", shown(heads[6])])
    assert told(cut) == [("default", "truncated", 6)]
    assert "the log went to entry 7 (seen by a process at noon)" in cut[0].findings[0].text
    anew, _ = log_of(9, key=None)
    assert told(verified(anew, heads=[shown(heads[6])], keys=())) == [("default", "anchor", 7)]
    later = Head(LATER, 2, "f" * 64)
    assert told(verified(lines, heads=[shown(later)])) == [("default", "truncated", 1)]


def test_a_chain_behind_another_has_to_be_whole_from_its_beginning() -> None:
    """An export may begin anywhere; a chain that follows within it may not."""
    lines, _ = log_of(3)
    later, _ = log_of(4, chain=LATER)
    assert told(verified([*lines, *later])) == [("default", "begun_again", 1)]
    assert told(verified([*lines, *later[1:]])) == [("default", "missing", 1)]


def chain_behind(head: Head, count: int, *, key: object = KEY) -> list[bytes]:
    """Return the lines of a later chain that says rightly where the log ended."""
    place: dict[str, str | int] = {"before_chain": str(head.chain), "before_seq": head.seq}
    detail = place | {"before_hash": head.hash}
    said = AuditEvent(BEGUN, "done", "default", role="system", detail=detail)
    lines, behind = [], Head.beginning(LATER)
    for number in range(count):
        line, behind = line_of(
            said if number == 0 else event(number),
            behind=behind,
            at_ms=LATER + number,
            entry_id=f"l{number}",
            key=key,  # type: ignore[arg-type]
        )
        lines.append(line)
    return lines


def test_a_chain_that_somebody_without_the_key_put_behind_is_named() -> None:
    """Its hashes are right, and it follows: that a key was used before is what tells."""
    lines, heads = log_of(3)
    assert told(verified([*lines, *chain_behind(heads[-1], 2)])) == []
    forged = verified([*lines, *chain_behind(heads[-1], 2, key=None)])
    assert told(forged) == [("default", "unkeyed", 1), ("default", "unkeyed", 2)]


def test_entries_of_before_there_was_a_key_stand_before_those_made_with_it() -> None:
    """The first one made with it holds the hash of all that was before."""
    lines, heads = log_of(3, key=None)
    found = verified([*lines, *chain_behind(heads[-1], 2)])
    assert (told(found), found[0].unkeyed) == ([], 3)


def test_the_beginning_of_a_later_chain_is_missed_wherever_its_lines_stand() -> None:
    """Nobody hides that it was cut by putting it before the older chain."""
    lines, heads = log_of(4)
    later = chain_behind(heads[-1], 6)
    assert told(verified([*lines, *later[3:]])) == [("default", "missing", 1)]
    turned = told(verified([*later[3:], *lines]))
    assert turned == [("default", "moved", 1), ("default", "missing", 1)]
    mixed = [*lines[:3], later[0], lines[3], *later[1:]]
    assert told(verified(mixed)) == [("default", "moved", 4)]


def test_a_line_of_a_tenant_that_cannot_be_is_no_log_of_its_own() -> None:
    """What a line says of itself is printed: a name that no tenant has is none."""
    lines, _ = log_of(3)
    strange, _ = log_of(1, tenant="shop: 9 entries: whole\n", key=None)
    assert told(verified([*lines, *strange])) == [("default", "altered", 4)]


def test_what_is_exported_from_a_time_on_has_no_gap() -> None:
    """An entry whose process was a moment behind stands between two that are wanted."""
    lines, behind = [], Head.beginning(CHAIN)
    for number, at_ms in enumerate((0, 2_000, 1_999, 2_001)):
        line, behind = line_of(
            event(number), behind=behind, at_ms=at_ms, entry_id=f"t{number}", key=KEY
        )
        lines.append(line)
    exported = list(lines_from(lines, written_time(2_000)))
    assert exported == lines[1:]
    assert told(verified(exported)) == []
    assert list(lines_from(lines, "")) == lines


def test_lines_of_which_none_can_be_read_are_named() -> None:
    """A file that is no export is no proof."""
    assert told(verified([b"hello", b"{}"])) == [("?", "altered", 0), ("?", "altered", 0)]


def test_the_newest_heads_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of years does not fill the memory; what tells the most stays."""
    monkeypatch.setattr(audit_limits, "AUDIT_HEADS_MAX", 3)
    _, heads = log_of(20)
    known = read_heads(shown(head) for head in heads)["default"][CHAIN]
    assert len(known) < 6
    assert max(known) == 20
