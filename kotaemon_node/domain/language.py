"""Which of the two languages of the product a text is in."""

import re
from typing import Final, Literal

Language = Literal["en", "zh"]

# Han ideographs with their extensions A and the compatibility block; kana and hangul are not ours.
_HAN: Final = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LATIN_WORD: Final = re.compile(r"[A-Za-z\u00c0-\u024f]+")

# "iPhone 15 的保修期" is a Chinese question although most of its letters are Latin. One ideograph
# carries about as much as one word, so the two are counted against each other.
_HAN_SHARE_MIN: Final = 0.3


def language_of(text: str) -> Language:
    """Return ``zh`` when at least 30 % of the words are Han (an ideograph is one), else ``en``."""
    han = len(_HAN.findall(text))
    words = len(_LATIN_WORD.findall(text))
    return "zh" if han and han / (han + words) >= _HAN_SHARE_MIN else "en"
