"""Text as a person sees it: invisible characters out, line ends and blanks in one form.

What a reader cannot see must not reach an index or a prompt: zero-width characters split words,
bidirectional marks reorder them, and tag characters carry whole hidden sentences.
"""

import re
from typing import Final

_LINE_ENDS: Final = re.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Controls, formats (Unicode category Cf, except the Arabic signs that are drawn), fillers and
# selectors without a shape of their own, surrogates and code points that are no characters.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U00013440\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Where a line of Chinese ends, the next goes on without a blank.
_WIDE: Final = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60"
_WRAPPED_WIDE: Final = re.compile(rf"(?<=[{_WIDE}])[ \t]*\n[ \t]*(?=[{_WIDE}])")


def visible_text(text: str) -> str:
    """Return ``text`` with ``\\n`` for every line end and without invisible characters."""
    return _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))


def one_line(text: str) -> str:
    """Return ``text`` as one line, its runs of blanks as one blank."""
    return " ".join(_WRAPPED_WIDE.sub("", text).split())
