"""Shapes that fonts of a PDF have for letters and bullets, as letters and bullets."""

import re
import unicodedata
from typing import Final

# Forms that stand for letters: ligatures, Arabic shapes, radicals that look like Han characters.
# Other compatibility characters (²,ａ,①) say something of their own and stay.
_FORMS: Final = re.compile("[\ufb00-\ufb4f\ufb50-\ufdff\ufe70-\ufefc\u2e80-\u2fdf\uf900-\ufaff]")
# Where fonts of signs put their bullets; other signs without a name are dropped.
_BULLETS: Final = re.compile("[\uf0b7\uf0a7\uf076\uf0d8\uf0fc\uf06c\uf06e\uf0a8\uf071\u25cf\u2022]")
_NAMELESS: Final = re.compile("[\ue000-\uf8ff\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f]")


def readable(text: str) -> str:
    """Return text with letters for the shapes that fonts have of them."""
    if text.isascii():
        return text
    text = _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return _NAMELESS.sub("", _BULLETS.sub("•", text))
