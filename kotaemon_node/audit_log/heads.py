"""How far a log went, by the lines ``audit_head`` that processes wrote into their own logs.

Who keeps those elsewhere has a proof that is in neither store: no writer of both can take it back.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.ids import is_id

_NAME: Final = b'"audit_head"'


@dataclass(frozen=True, slots=True)
class Seen:
    """That an entry was in the log, and who says so."""

    seq: int
    hash: str
    by: str
    """Half a sentence: ``signed for at 2026-05-01T10:00:00.000Z``."""


SeenByChain = Mapping[int, Mapping[int, Sequence[Seen]]]
"""By the chain and the number of the entry."""


def read_heads(lines: Iterable[bytes]) -> Mapping[str, SeenByChain]:
    """Return what lines of processes' logs tell, by tenant; all other lines are passed over.

    What a collector of logs put before a line (``worker-1 | ``) does no harm. Of one chain the
    newest are kept, ``AUDIT_HEADS_MAX`` at least.
    """
    found: dict[str, dict[int, dict[int, tuple[Seen, ...]]]] = {}
    for line in lines:
        told = _told(line) if _NAME in line else None
        if told is None:
            continue
        tenant, chain, seen = told
        chains = found.setdefault(tenant, {})
        known = chains.setdefault(chain, {})
        if seen.hash not in {one.hash for one in known.get(seen.seq, ())}:
            known[seen.seq] = (*known.get(seen.seq, ()), seen)
        if len(known) >= 2 * limits.AUDIT_HEADS_MAX:
            newest = sorted(known)[-limits.AUDIT_HEADS_MAX :]
            chains[chain] = {seq: known[seq] for seq in newest}
    return found


def _told(line: bytes) -> tuple[str, int, Seen] | None:
    try:
        said = json.loads(line[line.index(b"{") :])
        if said["event"] != "audit_head":
            return None
        by = f"seen by a process at {said['at']}"
        seen = Seen(int(said["seq"]), str(said["hash"]), by)
        tenant, chain = str(said["tenant"]), int(said["chain"])
        return (tenant, chain, seen) if is_id(tenant) and chain > 0 and seen.seq > 0 else None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None  # a line of another program, or one that was cut
