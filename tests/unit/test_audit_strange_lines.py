"""Lines that somebody made who chose every byte of them: named, and in nobody's way."""

import json

import pytest

from kotaemon_node.audit_log.heads import read_heads
from kotaemon_node.audit_log.reading import AuditReader, Wanted
from kotaemon_node.domain.audit_chain import GENESIS, Head, hash_of, read_line
from tests.audit_logs import KEY
from tests.fakes.audit_store import MemoryAuditStore
from tests.unit.test_audit_lines import CHAIN, log_of, shown, told, verified

STRANGE = {
    "hash": "é" * 32,
    "before": "é" * 64,
    "at": "2026: 9 entries: whole\n",
    "outcome": ["done"],
    "seq": -1,
    "chain": 0,
    "subject": "\ud800",
}


def strange_line(name: str) -> bytes:
    """Return the second line of a log with one field that nobody of us writes, rightly hashed."""
    said = json.loads(log_of(2)[0][1]) | {"key": "", "before": GENESIS, name: STRANGE[name]}
    made = said.pop("hash") if name == "hash" else ""
    said.pop("hash", None)
    body = json.dumps(said, separators=(",", ":"), ensure_ascii=name == "subject").encode()
    return f'{{"hash":"{made or hash_of(body, None)}",'.encode() + body[1:]


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_field_makes_it_no_line_of_a_log(name: str) -> None:
    """It ends neither the verifier nor who reads."""
    lines, _ = log_of(3)
    with pytest.raises(ValueError, match=r"."):
        read_line(strange_line(name))
    assert told(verified([lines[0], strange_line(name), lines[2]])) == [("default", "altered", 2)]


def test_what_looks_like_half_a_character_and_is_none_is_read() -> None:
    """A backslash may stand before any word."""
    said = json.loads(log_of(1)[0][0]) | {"target": "c:\\udder"}
    said.pop("hash")
    body = json.dumps(said, separators=(",", ":")).encode()
    line = f'{{"hash":"{hash_of(body, KEY)}",'.encode() + body[1:]
    assert read_line(line).event.target == "c:\\udder"


def test_what_an_entry_says_of_another_is_shown_as_a_number_or_not_at_all() -> None:
    """A finding is a line: no text of an entry makes two of it."""
    said = json.loads(log_of(1)[0][0]) | {"key": "", "action": "audit.set_back"}
    said |= {"detail": {"seen_seq": "9\nshop: 9 entries: whole"}}
    said.pop("hash")
    body = json.dumps(said, separators=(",", ":")).encode()
    [found] = verified([f'{{"hash":"{hash_of(body, None)}",'.encode() + body[1:]], keys=())
    assert [one.text for one in found.findings] == [
        "entry 1 says that the log had been cut off: it went to entry ?"
    ]


class _NoArtifacts:
    def list(self, _: str) -> list[str]:
        return []


def test_who_reads_the_log_reads_past_strange_lines() -> None:
    """A filter compares what entries are: a list for an outcome is none."""
    store = MemoryAuditStore(lambda: 1.0)
    lines, heads = log_of(1)
    store.append("default", lines, behind=None, head=heads[-1])
    rows = store.oldest("default", behind=(0, 0), limit=9)
    strange = type(rows[0])(CHAIN, 2, strange_line("outcome"))
    store.newest = lambda _, **asked: [] if asked["before"] else [strange, *rows]  # type: ignore[method-assign]
    reader = AuditReader(store, _NoArtifacts())  # type: ignore[arg-type]
    page = reader.page("default", before=None, limit=9, wanted=Wanted(outcome="done"))
    assert [entry.seq for entry in page.entries] == [1]


@pytest.mark.parametrize(
    "said",
    [
        {"seq": float("inf")},
        {"chain": float("-inf")},
        {"seq": 0},
        {"chain": "-5"},
        {"tenant": "../shop"},
        {"tenant": ""},
        {"seq": [1]},
    ],
)
def test_a_line_that_tells_of_no_entry_is_passed_over(said: dict[str, object]) -> None:
    """Whoever has a text of theirs in a process's log ends no verification."""
    head = Head(CHAIN, 3, "f" * 64)
    right = json.loads(shown(head).partition(b"| ")[2])
    assert read_heads([json.dumps(right).encode()])
    assert read_heads([json.dumps(right | said).encode()]) == {}
