"""Where a piece of work stands in a trace, as W3C's ``traceparent`` writes it."""

import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

_HEADER: Final = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII
)
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SAMPLED: Final = 1
_HEADER_CHARS_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span by its ids, and whether its trace is recorded."""

    trace_id: str
    """32 small hex digits, not all zero."""
    span_id: str
    """16 of them."""
    sampled: bool

    @classmethod
    def read(cls, header: str | None) -> Self | None:
        """Return what a ``traceparent`` says; None where it is missing or not one."""
        found = _HEADER.fullmatch(header.strip()) if header else None
        if found is None or len(found[0]) > _HEADER_CHARS_MAX:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        # Later versions may say more behind the four fields; this one may not.
        if version == "ff" or (version == "00" and more is not None):
            return None
        if not int(trace_id, 16) or not int(span_id, 16):
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))

    @property
    def header(self) -> str:
        """Return it as a ``traceparent``."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def is_trace_id(text: str | None) -> bool:
    """Tell whether ``text`` can be the id of a trace."""
    return bool(text and _TRACE_ID.fullmatch(text) and int(text, 16))


def new_trace_id() -> str:
    """Return the id of a new trace."""
    return secrets.token_hex(16)


def new_span_id() -> str:
    """Return the id of a new span."""
    return secrets.token_hex(8)
