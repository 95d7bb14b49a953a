"""Bytes of a text file to text, in whatever encoding it was written.

Wrong text that nobody notices is worse than a refusal. So the certain signs come first (byte order
mark, valid UTF-8, a declaration in the file), then statistics that suit the languages of the
product, then charset-normalizer; whatever is left is refused.
"""

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from charset_normalizer import from_bytes

from kotaemon_node.adapters.documents.letters import (
    ALPHABETS,
    COMMON_HAN,
    COMMON_HANGUL,
    SIGNS,
    SIGNS_IN_WORDS,
)
from kotaemon_node.domain.errors import DocumentRefused

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNMARKED_WIDE: Final = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_DECLARED: Final = re.compile(
    rb"""<meta[^>]{1,200}charset\s*=\s*["']?([\w-]{3,20})|<\?xml[^>]{1,100}encoding=["']([\w-]{3,20})""",
    re.IGNORECASE,
)
# What pages declare is often the small sister of what they use.
_SUPERSET: Final = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "us-ascii": "cp1252",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
}
_UTF8_CHARACTER: Final = re.compile(
    rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_HIGH_BYTES: Final = re.compile(rb"[\x80-\xff]")
_HAN: Final = re.compile("[\u4e00-\u9fff]")
_OTHER_ASIAN: Final = re.compile("[\u3040-\u312f\uac00-\ud7a3]")
_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd\ufffe\uffff]")
# One-byte text hardly ever has these; two-byte text misread as such is full of them.
_STRANGE_SIGNS: Final = re.compile(
    rf"(?<=[^\W\d_])[{''.join(SIGNS - SIGNS_IN_WORDS)}](?=[^\W\d_])|[\u00a1-\u00bf]{{2}}"
)

# Measured on news and encyclopaedia text: right decodings lie above 0.35, wrong ones below 0.12.
_COMMON_HAN_SHARE_MIN: Final = 0.22
_COMMON_HANGUL_SHARE_MAX: Final = 0.12
_CONTROL_SHARE_MAX: Final = 0.002
_STRANGE_SHARE_MAX: Final = 0.02
_SAMPLE_CHARS: Final = 100_000


def decoded(content: bytes) -> str:
    """Return the text of ``content``. Raises ``DocumentRefused`` with the reason."""
    text = _by_certain_signs(content)
    if text is None:
        text = (
            _chinese(content)
            or _by_alphabet(content)
            or _short_chinese(content)
            or _by_statistics(content)
        )
    if text is None:
        raise DocumentRefused("its text encoding is not recognised; save it as UTF-8")
    if len(_CONTROLS.findall(text)) > _CONTROL_SHARE_MAX * len(text) + 1:
        raise DocumentRefused("it is a binary file, not text")
    return text


def _by_certain_signs(content: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _strictly_marked(content, encoding)
    if b"\x00" in content:
        return _unmarked_wide(content)
    if b"\x1b$" in content:
        # These seven-bit encodings are valid ASCII, and so valid UTF-8.
        korean = b"\x1b$)C" in content
        return _strictly(content, "iso2022_kr" if korean else "iso2022_jp_2")
    text = _strictly(content, "utf-8")
    if text is None and _mostly_utf8(content):
        raise DocumentRefused(f"it is damaged: byte {_first_error(content)} breaks its UTF-8 text")
    return text if text is not None else _declared(content)


def _strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _strictly_marked(content: bytes, encoding: str) -> str:
    text = _strictly(content, encoding)
    if text is None:
        name = encoding.removesuffix("-sig").upper()
        raise DocumentRefused(f"it is damaged: it begins as {name} text, but is not valid {name}")
    return text


def _unmarked_wide(content: bytes) -> str:
    """Decode UTF-16 or UTF-32 without a mark, where that gives characters that people write."""
    for encoding in _UNMARKED_WIDE:
        text = _strictly(content, encoding)
        if text and "\x00" not in text and _everyday_share(text[:_SAMPLE_CHARS]) > 0.5:
            return text
    raise DocumentRefused("it is a binary file, not text")


def _everyday_share(text: str) -> float:
    # ASCII bytes read in pairs give Han as well, but hardly ever common ones.
    everyday = sum(
        1
        for char in text
        if "\t" <= char < "\u0600" or char in COMMON_HAN or _OTHER_ASIAN.match(char)
    )
    return everyday / len(text)


def _mostly_utf8(content: bytes) -> bool:
    """Tell whether the bytes above ASCII are UTF-8 but for a few."""
    inside = sum(len(match.group()) for match in _UTF8_CHARACTER.finditer(content))
    high = len(_HIGH_BYTES.findall(content))
    return inside >= 12 and inside > 0.95 * high


def _first_error(content: bytes) -> int:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(content)


def _declared(content: bytes) -> str | None:
    match = _DECLARED.search(content[:2048])
    if match is None:
        return None
    name = (match.group(1) or match.group(2)).decode("ascii").lower()
    # A page that arrives here is not UTF-8 whatever it declares.
    return None if name.startswith("utf") else _strictly(content, _SUPERSET.get(name, name))


def _chinese(content: bytes) -> str | None:
    """Decode GB18030 or Big5, whichever gives more of the characters that Chinese is made of."""
    best: str | None = None
    best_share = _COMMON_HAN_SHARE_MIN
    for encoding in ("gb18030", "big5hkscs"):
        text = _strictly(content, encoding)
        if text is not None and (share := _common_han_share(text[:_SAMPLE_CHARS])) > best_share:
            best, best_share = text, share
    return best


def _short_chinese(content: bytes) -> str | None:
    """Decode a few words in GB2312: too short for frequencies, and Korean fits the same bytes."""
    text = _strictly(content, "gb2312")
    if text is None or _OTHER_ASIAN.search(text):
        return None
    korean = _strictly(content, "euc_kr") or ""
    common = sum(1 for char in korean if char in COMMON_HANGUL)
    return None if common > _COMMON_HANGUL_SHARE_MAX * len(_HAN.findall(text)) else text


def _common_han_share(text: str) -> float:
    """Return which share of the wide characters are common Han; 0 for Japanese and Korean."""
    han = _HAN.findall(text)
    foreign = len(_OTHER_ASIAN.findall(text))
    if not han or foreign > len(han) // 20:
        return 0.0
    return sum(1 for char in han if char in COMMON_HAN) / len(han)


def _by_alphabet(content: bytes) -> str | None:
    """Decode with the first one-byte encoding in which the text uses one language's letters."""
    for encoding, alphabets in ALPHABETS.items():
        text = _strictly(content, encoding)
        if text is not None and _fits(text[:_SAMPLE_CHARS], alphabets):
            return text
    return None


def _fits(sample: str, alphabets: Sequence[frozenset[str]]) -> bool:
    """Tell whether all but a few of the characters beyond ASCII belong to one of ``alphabets``."""
    beyond = Counter(char for char in sample.lower() if char > "\x7f")
    strange = len(_STRANGE_SIGNS.findall(sample))
    letters = {char: count for char, count in beyond.items() if char not in SIGNS}
    return any(
        strange + sum(count for char, count in letters.items() if char not in alphabet)
        <= _STRANGE_SHARE_MAX * beyond.total()
        for alphabet in alphabets
    )


def _by_statistics(content: bytes) -> str | None:
    """Ask charset-normalizer. A stray byte in long text costs one character, not the document."""
    match = from_bytes(content, cp_exclusion=list(_UNMARKED_WIDE), enable_fallback=False).best()
    return None if match is None else str(match)
