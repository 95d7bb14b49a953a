r"""Writes plainly what Markdown and HTML let an address be disguised with.

``[x](https\://…)``, ``[x](https&#58;//…)`` and ``<a href="&sol;/…">`` are links like any other once
they are drawn, and ``[x](<https://… …>)`` goes on behind a blank. Whoever looks for addresses in a
text must look at what will be drawn: a colon is a colon, and no brackets stand around a
destination. To a person the text looks as before.

Law: what comes out depends on the text alone, not on how it was cut into pieces.
"""

import re
from dataclasses import dataclass
from typing import Final

# Of a colon, slash, backslash, tab or line end. Markdown takes seven digits, HTML any number of
# zeros before them: so many are looked at. What Markdown reads as an escaped one is taken for one.
_REFERENCE: Final = (
    r"&(?:#0{0,16}(?:9|10|13|47|58|92)(?![0-9]);?|#[xX]0{0,16}(?:9|[aAdD]|2[fF]|3[aA]|5[cC])"
    r"(?![0-9A-Fa-f]);?|(?:colon|sol|bsol|Tab|NewLine);)"
)
_DISGUISED: Final = re.compile(
    rf"(?P<pair>\\\\)|\\(?P<escaped>[:/])|\\?(?P<reference>{_REFERENCE})"
)
# What may become one with the characters that follow.
_MAY_BE: Final = re.compile(r"(?:\\?&(?:#[xX]?[0-9A-Fa-f]{0,20}|[A-Za-z]{0,7})|\\)\Z")
_OPENS: Final = re.compile(r"(?<=\])[(:]")
"""A destination stands behind it."""
_CLOSES: Final = re.compile(r"[>\n]")
_BEFORE_ONE: Final = re.compile(r"[\s<]*")
# A backslash would escape what comes next; browsers take it for a slash.
_NAMED: Final = {"colon": ":", "sol": "/", "bsol": "/", "Tab": " ", "NewLine": " "}
_CODED: Final = {58: ":", 47: "/", 92: "/"}


@dataclass(slots=True)
class PlainAddresses:
    """Does it with one text, piece by piece. For one task at a time."""

    _held: str = ""
    _before: str = ""
    """The last character that came out, brackets included."""
    _opened: bool = False
    """A destination comes, and nothing of it came yet."""
    _bracketed: bool = False
    """A bracket was taken away, and the other is still to come."""

    def go_on_behind(self, prefix: str) -> None:
        """Say that ``prefix`` came out before, from another one of these."""
        self._before = prefix[-1:]
        self._opened = prefix.rstrip().endswith(("](", "]:"))

    def feed(self, piece: str) -> str:
        """Take a piece and return what is plain by now, perhaps nothing."""
        text = self._held + piece
        if "&" not in text and "\\" not in text:  # most texts: nothing is disguised
            self._held = ""
            return self._unbracketed(text)
        pairs = [found.end() for found in _DISGUISED.finditer(text) if found["pair"]]
        tail = _MAY_BE.search(text, pairs[-1] if pairs else 0)
        ready = tail.start() if tail else len(text)
        self._held = text[ready:]
        return self._unbracketed(_DISGUISED.sub(_plain, text[:ready]))

    def finish(self) -> str:
        """Return what was held back; nothing follows."""
        text, self._held = self._held, ""
        return self._unbracketed(_DISGUISED.sub(_plain, text))

    def _unbracketed(self, piece: str) -> str:
        text = self._before + piece
        if not (self._opened or self._bracketed) and "]" not in text:
            self._before = text[-1:]
            return piece
        out, at = list[str](), len(self._before)
        self._before = text[-1:]
        while at < len(text):
            if self._opened:
                before = _BEFORE_ONE.match(text, at)
                end = before.end() if before else at
                out.append(text[at:end].replace("<", ""))
                self._bracketed |= "<" in text[at:end]
                self._opened = end == len(text)
            else:
                opens = _OPENS.search(text, at)
                end = opens.end() if opens else len(text)
                out.append(self._closed(text[at:end]))
                self._opened = opens is not None
            at = end
        return "".join(out)

    def _closed(self, text: str) -> str:
        ends = _CLOSES.search(text) if self._bracketed else None
        if ends is None:
            return text
        self._bracketed = False
        return text[: ends.start()] + ends[0].removeprefix(">") + text[ends.end() :]


def plainly(text: str) -> str:
    """Return ``text`` with its addresses as they will be drawn."""
    plain = PlainAddresses()
    return plain.feed(text) + plain.finish()


def _plain(found: re.Match[str]) -> str:
    if found["pair"]:
        return found["pair"]
    if found["escaped"]:
        return found["escaped"]
    name = found["reference"][1:].rstrip(";")
    if not name.startswith("#"):
        return _NAMED[name]
    return _CODED.get(int(name[2:], 16) if name[1] in "xX" else int(name[1:]), " ")
