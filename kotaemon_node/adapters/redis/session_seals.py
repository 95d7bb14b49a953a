"""Seals and opens what a session's keys hold, each value for its own place.

A place is named by tenant, session and turn, and within them by a field:

- of the session: ``title``, ``context``, ``state``, ``summary``, ``handoff``, and ``handoff
  frame``, which a script puts among the frames of a turn that only the script knows;
- of its history ``turn <version>``: a row opens at its place in the list alone;
- of a turn: ``message``, ``options``, ``journal <step>``, ``feedback``, ``record``, and
  ``frame <number> <name>``, its name being the type, or the offset of a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kotaemon_node.adapters.redis.stored_text import as_bytes
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.ports.cipher import FieldCipher, SealedPlace

HANDOFF: Final = "handoff"


@dataclass(frozen=True, slots=True)
class SessionSeals:
    """Those of one session. What is empty stays empty: scripts take it for nothing."""

    cipher: FieldCipher
    key: SessionKey

    def sealed(self, value: bytes | str, field: str, *, turn: str = "") -> bytes:
        """Return a value as the store keeps it."""
        raw = value.encode() if isinstance(value, str) else value
        return self.cipher.seal(raw, self._place(field, turn)) if raw else raw

    def opened(self, stored: bytes, field: str, *, turn: str = "") -> bytes:
        """Read ``sealed`` back; raises ``Sealed``."""
        return self.cipher.open(stored, self._place(field, turn)) if stored else stored

    def text(self, row: Mapping[str, str], name: str, *, field: str = "", turn: str = "") -> str:
        """Return what a field of a hash says, "" where there is none; raises ``Sealed``."""
        stored = row.get(name)
        return self.opened(as_bytes(stored), field or name, turn=turn).decode() if stored else ""

    def sealed_row(self, row: bytes, *, version: int) -> bytes:
        """Return a finished turn as it stands in the history, as its turn number ``version``."""
        return self.sealed(row, f"turn {version}")

    def row(self, stored: bytes, *, version: int) -> bytes:
        """Read ``sealed_row`` back; raises ``Sealed``, also for a row of another version."""
        return self.opened(stored, f"turn {version}")

    def sealed_frame(self, name: str, value: bytes, *, turn: str, seq: int) -> bytes:
        """Return the value of a stream entry called ``name``."""
        field, of = _frame(name, turn, seq)
        return self.sealed(value, field, turn=of)

    def frame(self, name: str, stored: bytes, *, turn: str, seq: int) -> bytes:
        """Read ``sealed_frame`` back; raises ``Sealed``."""
        field, of = _frame(name, turn, seq)
        return self.opened(stored, field, turn=of)

    def _place(self, field: str, turn: str) -> SealedPlace:
        return SealedPlace(self.key.tenant, field, self.key.session_id, turn)


def _frame(name: str, turn: str, seq: int) -> tuple[str, str]:
    # Who gives a session away does not know which turn runs: the script finds it, and its place.
    return ("handoff frame", "") if name == HANDOFF else (f"frame {seq} {name}", turn)
