"""Counts what each data key has sealed, by the id that stands in every sealed value.

Nothing is opened: a sealed value begins with a mark and the id of its key (``adapters.sealing``),
as bytes, or in base64 where it lies within a text.
"""

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from kotaemon_node.domain.data_keys import KEY_ID_BYTES

SEALED_HEAD: Final = b"\xf5\x01"
"""The mark and the version of the form; the key's id stands behind it."""
_EXAMPLES_MAX: Final = 3
_RAW: Final = re.compile(re.escape(SEALED_HEAD) + b"(.{%d})" % KEY_ID_BYTES, re.DOTALL)
_TEXT_CHARS: Final = 12  # of base64: 9 whole bytes, which are the mark and all of the id but a byte
_TEXT: Final = re.compile(
    b"(?=(%s[A-Za-z0-9+/_-]{10}))" % base64.b64encode(SEALED_HEAD + bytes(KEY_ID_BYTES))[:2]
)


@dataclass(slots=True)
class Uses:
    """What one key sealed."""

    values: dict[str, int] = field(default_factory=dict)
    """By where they are."""
    examples: list[str] = field(default_factory=list)
    """Names of some places."""

    @property
    def total(self) -> int:
        """Of all places."""
        return sum(self.values.values())


class KeyUses:
    """Takes contents of stores and counts."""

    def __init__(self, ids: Collection[str]) -> None:
        """``ids``: of the data keys that are looked for."""
        self.uses: Mapping[str, Uses] = {one: Uses() for one in ids}
        self._raw = {bytes.fromhex(one): one for one in ids}
        heads = {one: base64.b64encode(SEALED_HEAD + bytes.fromhex(one)) for one in ids}
        self._texts = {head[:_TEXT_CHARS]: one for one, head in heads.items()}

    def take(self, where: str, name: str, content: bytes) -> None:
        """Count the sealed values in a content; ``where`` is a place, ``name`` one thing there."""
        for found in _RAW.finditer(content):
            self._count(self._raw.get(found[1]), where, name)
        for found in _TEXT.finditer(content):
            text = found[1].replace(b"-", b"+").replace(b"_", b"/")
            self._count(self._texts.get(text), where, name)

    def _count(self, key_id: str | None, where: str, name: str) -> None:
        if key_id is None:
            return  # chance, or a key of before
        uses = self.uses[key_id]
        uses.values[where] = uses.values.get(where, 0) + 1
        if len(uses.examples) < _EXAMPLES_MAX and name not in uses.examples:
            uses.examples.append(name)
