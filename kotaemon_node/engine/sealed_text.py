"""A sealed value where only text may stand: ``sealed:`` and the value in base64."""

import base64
import binascii
from typing import Final

from kotaemon_node.ports.cipher import SEALED_MARK, FieldCipher, SealedPlace

_MARK: Final = "sealed:"


def sealed_text(cipher: FieldCipher, text: str, place: SealedPlace) -> str:
    """Return a text sealed as a text; as it is where the cipher seals nothing."""
    raw = text.encode()
    sealed = cipher.seal(raw, place)
    return text if sealed == raw else _MARK + base64.b64encode(sealed).decode()


def opened_text(cipher: FieldCipher, text: str, place: SealedPlace) -> str:
    """Return what ``sealed_text`` was given; raises ``Sealed``."""
    sealed = _sealed_in(text)
    return cipher.open(text.encode() if sealed is None else sealed, place).decode()


def _sealed_in(text: str) -> bytes | None:
    """Return the value that a text holds; None: it holds none, whatever its first word is."""
    if not text.startswith(_MARK):
        return None
    try:
        raw = base64.b64decode(text.removeprefix(_MARK), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if raw.startswith(SEALED_MARK) else None
