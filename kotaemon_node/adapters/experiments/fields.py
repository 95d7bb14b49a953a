"""Tables of fields, and what is wrong with a file that does not keep to them."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kotaemon_node.adapters.experiments.lined import Lined, Path

Check = Callable[[Any], str | None]
"""What is wrong with a value; None: nothing."""
Complaint = tuple[int, str]
"""The line, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: how its value is checked, and whether it has to be there."""

    check: Check
    required: bool = False


def text(value: Any) -> str | None:
    """Complain about what is no text, or a blank one."""
    return None if isinstance(value, str) and value.strip() else "must be a text"


def one_of(names: Sequence[str]) -> Check:
    """Return what complains about all but ``names``."""

    def check(value: Any) -> str | None:
        if isinstance(value, str) and value in names:
            return None
        return f"{value!r} is none of {', '.join(names)}{nearest(value, names)}"

    return check


def number(low: float, high: float, *, whole: bool = False) -> Check:
    """Return what complains about all but numbers from ``low`` to ``high``."""
    kind = "whole number" if whole else "number"

    def check(value: Any) -> str | None:
        right = isinstance(value, int) or (not whole and isinstance(value, float))
        if right and not isinstance(value, bool) and low <= value <= high:
            return None
        return f"must be a {kind} from {low:g} to {high:g}, not {value!r}"

    return check


def unknown(
    lined: Lined, above: Path, section: Mapping[str, Any], names: Sequence[str]
) -> list[Complaint]:
    """Complain about the keys of a section that are none of ``names``."""
    return [
        (
            lined.lines.get((*above, str(key)), 1),
            f"{'.'.join((*above, str(key)))} is unknown; there are {', '.join(names)}"
            f"{nearest(key, names)}",
        )
        for key in section
        if key not in names
    ]


def wrong(lined: Lined, above: Path, fields: Mapping[str, Field]) -> list[Complaint]:
    """Complain about a section: no mapping, unknown keys, missing and wrong values."""
    section: Any = lined.said
    for key in above:
        section = (section or {}).get(key)
    path, line = ".".join(above), lined.lines.get(above, 1)
    if section is None:
        lacking = [key for key, field in fields.items() if field.required]
        return [(line, f"{path}.{key} is missing") for key in lacking]
    if not isinstance(section, Mapping):
        return [(line, f"{path} must be a mapping of {', '.join(fields)}")]
    found = unknown(lined, above, section, tuple(fields))
    for key, field in fields.items():
        at = lined.lines.get((*above, key), line)
        if section.get(key) is None:
            if field.required or key in section:
                found.append((at, f"{path}.{key} is missing"))
        elif problem := field.check(section[key]):
            found.append((at, f"{path}.{key} {problem}"))
    return found


def nearest(value: Any, names: Sequence[str]) -> str:
    """Return a guess at what was meant, as the end of a complaint."""
    close = difflib.get_close_matches(str(value).lower(), names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
