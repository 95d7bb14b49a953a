"""Values of the store as text: JSON of a copy and fields of a hash hold nothing else.

Texts stay as they are; what is no text, such as a sealed value, becomes base64 behind a mark. Each
value has one form, and each form is one value: a text that begins with the mark is written so, too.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_MARK: Final = "\x00="


def as_text(raw: bytes) -> str:
    """Return the form of a value."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = _MARK
    return _MARK + base64.b64encode(raw).decode() if text.startswith(_MARK) else text


def as_bytes(text: str) -> bytes:
    """Read ``as_text`` back."""
    if text.startswith(_MARK):
        return base64.b64decode(text.removeprefix(_MARK), validate=True)
    return text.encode()


def texts_of(row: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return a hash as texts; its names are texts anyway."""
    return {name.decode(): as_text(value) for name, value in row.items()}


def texts_of_flat(flat: Sequence[bytes]) -> dict[str, str]:
    """Return the flat reply of HGETALL inside a script as texts."""
    return texts_of(dict(zip(flat[::2], flat[1::2], strict=True)))


def bytes_of(texts: Iterable[str]) -> list[bytes]:
    """Return the values of texts."""
    return [as_bytes(text) for text in texts]
