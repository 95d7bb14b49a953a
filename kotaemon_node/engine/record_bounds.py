"""Keeping a record small: its longest texts are cut, with a mark that says by how much."""

import json
from collections.abc import Mapping
from typing import Any, Final

from kotaemon_node.domain.limits import AUDIT_RECORD_BYTES_MAX

# Tried in this order until the record fits. A prompt has 51,000 characters at most.
_TEXT_CHARS: Final = (64_000, 16_000, 4_000, 1_000, 250, 60)
_DEPTH_MAX: Final = 12


def bounded(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the record with at most ``AUDIT_RECORD_BYTES_MAX`` bytes of JSON.

    One that was cut says so (``cut``). Where short texts alone are too many, what the steps noted
    is left out. Raises ``TypeError`` for what has no JSON.
    """
    if _fits(record):
        return record
    for chars_max in _TEXT_CHARS:
        cut = {**_cut(record, chars_max, _DEPTH_MAX), "cut": True}
        if _fits(cut):
            return cut
    return {**_cut(record, _TEXT_CHARS[-1], _DEPTH_MAX), "steps": {}, "rounds": [], "cut": True}


def _fits(record: Mapping[str, Any]) -> bool:
    return len(json.dumps(record, ensure_ascii=False).encode()) <= AUDIT_RECORD_BYTES_MAX


def _cut(value: Any, chars_max: int, depth: int) -> Any:
    """Return a JSON value with every text in it cut to so many characters."""
    if isinstance(value, str):
        over = len(value) - chars_max
        return value if over <= 0 else f"{value[:chars_max]}… [{over} more characters]"
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {name: _cut(one, chars_max, depth - 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(one, chars_max, depth - 1) for one in value]
    return value
