"""The gate of links: an address leaves in an answer only where it stood in what the model read.

A text that was retrieved may ask the model to write what it knows into an address of a stranger's
server, where one click, or a client that loads pictures, hands it over. Such an address was made up
for the answer. One that stands word for word in a document, a tool's result or the conversation
says nothing that its author did not know; so that one passes, and hosts that were listed do.

Law 1: text passes at once; what may be the beginning of an address is held until that is whole, and
    one of more than ``LINK_HELD_CHARS_MAX`` characters is left out whatever it is.
Law 2: what comes out depends on the text alone, not on how it was cut into pieces.
Law 3: nothing may grow onto an address that was let out: a blank comes between.

Addresses are what renderers of Markdown make links of: ``scheme://…``, ``www.…`` (GitHub Flavored
Markdown, "Autolinks (extension)"), and what browsers take for one in a link's destination: ``//…``,
``https:…``, both with backslashes as well (WHATWG URL, "special authority slashes state").
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from kotaemon_node.domain.door_limits import LINK_HELD_CHARS_MAX
from kotaemon_node.domain.language import Language
from kotaemon_node.engine.plain_addresses import PlainAddresses, plainly
from kotaemon_node.ports.language_model import ChatMessage

LinkRule = Literal["read", "listed", "any"]

LEFT_OUT: Final[dict[Language, str]] = {"en": "(link left out)", "zh": "（链接已略去）"}

_BEGIN: Final = re.compile(
    r"(?<![A-Za-z0-9+.-])(?:https?|ftp):(?=[\w/\\\[%])|://|(?<![A-Za-z0-9.@/-])www\."
    r"|(?<![A-Za-z0-9:/\\])[/\\]{2}(?=[\w\[%])",
    re.IGNORECASE,
)
# What may become the beginning of one with the characters that follow.
_MAY_BEGIN: Final = re.compile(
    r"(?<![A-Za-z0-9+.-])(?:h|ht|htt|https?:?|f|ft|ftp:?)\Z|:/?\Z"
    r"|(?<![A-Za-z0-9.@/-])w{1,3}\Z|(?<![A-Za-z0-9:/\\])[/\\]{1,2}\Z",
    re.IGNORECASE,
)
_MAY_BEGIN_CHARS: Final = len("https:")
# Behind it stands a destination, which reaches as far as the second half of the pair.
_DESTINATION: Final = re.compile(r"(?:\]\(|\]:|=)\s*[\"']?\Z|<\Z")
_ENDS_WITH: Final = {"(": ")", "<": ">", '"': '"', "'": "'"}
_CLOSING_CHARS_MAX: Final = 3
_ADDRESS: Final = re.compile(r"[^\s<]*")
_CLOSING: Final = re.compile(r"[)\]}>\"'`*_~.,;:!?，。；：！？、）】》」』”’…]+\Z")
# Where an address may end though text follows without a blank.
_BREAK: Final = re.compile(r"[()\[\]{}|\\^>\"'`*_~,;!]|[^\x00-\x7f]")
_CODE: Final = re.compile(r"(?s)(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)")
_LOOKED_AT_CHARS: Final = 4_096
_CONTEXT_CHARS: Final = 8
_PARTS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """Which addresses may leave in an answer that a model wrote."""

    rule: LinkRule = "read"
    """``read``: those that stood in what it read, and listed hosts; ``listed``: these alone."""
    hosts: frozenset[str] = frozenset()
    """Host names in small letters; each means its subdomains, too."""

    def known(self, texts: Iterable[str]) -> frozenset[str]:
        """Return the addresses that may leave because they stand in ``texts``."""
        if self.rule != "read":
            return frozenset()
        return frozenset(same for text in texts for same in _addresses_in(plainly(text)))

    def lists(self, address: str) -> bool:
        """Tell whether the address is one of a listed host."""
        try:
            host = (urlsplit(_with_scheme(address)).hostname or "").rstrip(".")
        except ValueError:
            return False
        parts = host.split(".")
        return any(".".join(parts[at:]) in self.hosts for at in range(len(parts)))


@dataclass(slots=True)
class LinkGate:
    """Lets one text out; ``known`` as ``LinkTerms.known`` returns it. For one task at a time."""

    terms: LinkTerms
    known: frozenset[str]
    language: Language
    left_out: int = 0
    _plain: PlainAddresses = field(default_factory=PlainAddresses)
    _held: str = ""
    _before: str = ""
    """The end of what was let out."""
    _swallowing: bool = False
    """The rest of an address that is too long is left out."""
    _behind_address: bool = False
    """What was let out ends in an address, onto which nothing may grow."""

    @classmethod
    def of(cls, terms: LinkTerms, read: Iterable[ChatMessage], *, language: Language) -> "LinkGate":
        """Return a gate for what a model writes that ``read`` this.

        What it wrote itself does not count, or it could tell itself an address first: neither what
        it wanted called, which results and proposals repeat, nor what a proposal shows as code.
        """
        told, answered, wanted = list[str](), list[str](), list[str]()
        for message in read:
            wanted += _texts([call.arguments for call in message.tool_calls])
            if message.role == "tool":
                answered.append(message.content)
            else:
                own = message.role == "assistant"
                told.append(without_code(message.content) if own else message.content)
        results = terms.known(answered) - terms.known(wanted)
        return cls(terms, terms.known(told) | results, language)

    def go_on_behind(self, prefix: str) -> None:
        """Say that ``prefix`` was let out before."""
        last = list(_BEGIN.finditer(prefix[-LINK_HELD_CHARS_MAX:]))
        tail = prefix[-LINK_HELD_CHARS_MAX:][last[-1].start() :] if last else ""
        self._behind_address = bool(tail) and _ADDRESS.fullmatch(tail) is not None
        self._before = prefix[-_CONTEXT_CHARS:]
        self._plain.go_on_behind(prefix)

    def feed(self, piece: str) -> str:
        """Take a piece and return what may be shown by now, perhaps nothing."""
        if self.terms.rule == "any":
            return piece
        out: list[str] = []
        # What is held is copied for each address in it, so of a long piece only some is at a time.
        for start in range(0, len(piece), _LOOKED_AT_CHARS):
            self._held += self._plain.feed(piece[start : start + _LOOKED_AT_CHARS])
            out.append(self._let_out(whole=False))
        return "".join(out)

    def finish(self) -> str:
        """Return what was held back; nothing follows."""
        self._held += self._plain.finish()
        return self._let_out(whole=True)

    def _let_out(self, *, whole: bool) -> str:
        out: list[str] = []
        while self._held:
            shown = self._next(whole=whole)
            if shown is None:
                break
            out.append(shown)
            if shown:
                self._before = (self._before + shown)[-_CONTEXT_CHARS:]
        return "".join(out)

    def _next(self, *, whole: bool) -> str | None:
        """Take the next part off what is held and return what is let out for it; None: wait."""
        if self._swallowing:
            return self._swallowed()
        if self._behind_address:
            self._behind_address = False
            if _ADDRESS.match(self._held) and self._held[0] not in " \t\r\n<":
                return " "
        looked_at = self._before + self._held
        begin = _begin_in(looked_at, len(self._before))
        if begin is None and not whole:
            # Nothing that may become one is longer, so no more is looked at.
            last = len(looked_at) - _MAY_BEGIN_CHARS
            begin = _MAY_BEGIN.search(looked_at, max(len(self._before), last))
            if begin is not None and begin.start() == len(self._before):
                return None
        ready = (begin.start() if begin else len(looked_at)) - len(self._before)
        return self._taken(ready) if ready else self._address(whole=whole)

    def _address(self, *, whole: bool) -> str | None:
        address = _ADDRESS.match(self._held)
        end = address.end() if address else 0
        if end > LINK_HELD_CHARS_MAX:
            self._swallowing = True
            return self._instead()
        if end == len(self._held) and not whole:
            return None
        return self._judged(self._taken(end))

    def _taken(self, chars: int) -> str:
        taken, self._held = self._held[:chars], self._held[chars:]
        return taken

    def _swallowed(self) -> str:
        rest = _ADDRESS.match(self._held)
        self._taken(rest.end() if rest else 0)
        self._swallowing = not self._held
        return ""

    def _judged(self, address: str) -> str:
        closing = _CLOSING.search(address)
        body = address[: closing.start()] if closing else address
        if self._may_leave(body):
            return body + self._apart(address[len(body) :])
        for found in list(_BREAK.finditer(address))[:_PARTS_MAX]:
            if self._may_leave(address[: found.start()]):
                # The rest may hold another one.
                self._held = address[found.start() :] + self._held
                self._behind_address = True
                return address[: found.start()]
        return self._instead() + (closing[0] if closing else "")

    def _apart(self, closing: str) -> str:
        """Return what stands behind an address that leaves, apart where it could carry something.

        Renderers end an address at different characters, so a choice of many would be data.
        """
        destination = _DESTINATION.search(self._before)
        if destination is None:
            grows = len(closing) > _CLOSING_CHARS_MAX
        else:
            grows = closing[:1] != _ENDS_WITH.get(destination[0].strip()[-1:], "")
        return f" {closing}" if closing and grows else closing

    def _may_leave(self, address: str) -> bool:
        return _same(address) in self.known or (
            bool(self.terms.hosts) and self.terms.lists(address)
        )

    def _instead(self) -> str:
        self.left_out += 1
        return LEFT_OUT[self.language]


def _begin_in(text: str, at: int) -> re.Match[str] | None:
    """Return the beginning of the first address behind ``at``; most texts have none."""
    if ":" in text or "/" in text or "\\" in text or "www." in text.lower():
        return _BEGIN.search(text, at)
    return None


def without_code(answer: str) -> str:
    """Return an answer without its code: a proposal shows there what a model wanted to call."""
    return _CODE.sub(" ", answer)


def _texts(value: Any) -> list[str]:
    """Return the texts in a value of JSON."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in _texts(one)]
    return [text for one in value for text in _texts(one)] if isinstance(value, list) else []


def _addresses_in(text: str) -> Iterable[str]:
    for begin in _BEGIN.finditer(text):
        found = _ADDRESS.match(text, begin.start())
        address = found[0] if found else ""
        closing = _CLOSING.search(address)
        yield _same(address[: closing.start()] if closing else address)
        if broken := _BREAK.search(address):
            yield _same(address[: broken.start()])


def _same(address: str) -> str:
    """Return an address in the one form in which two are compared: host in small letters."""
    head, slashes, rest = _with_scheme(address).partition("://")
    host, slash, path = rest.partition("/")
    return f"{head.lower()}{slashes}{host.lower()}{slash}{path}".removesuffix("/")


def _with_scheme(address: str) -> str:
    if address.startswith("//"):
        return f"https:{address}"
    return address if "://" in address else f"https://{address}"
