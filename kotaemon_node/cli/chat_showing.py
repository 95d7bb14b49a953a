"""Shows a turn while it comes: Markdown and a line of status on a terminal, plain text elsewhere.

On a terminal, each finished block of the answer (a paragraph, a list, a fenced piece of code) is
printed for good, rendered; only the block that is being written is drawn again and again. So an
answer may be longer than the screen, and nothing of it is ever printed twice.
"""

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.padding import Padding
from rich.spinner import Spinner
from rich.text import Text

from kotaemon_node.cli.console import harmless

_DRAWN_PER_S: Final = 12
_RESULT_CHARS: Final = 80


class Showing(Protocol):
    """Takes what happens in a turn, in the order of its frames."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...  # fmt: skip

    def frame(self, raw: Mapping[str, Any]) -> None:
        """Take a frame, as it came."""


class FrameLines:
    """``--json``: each frame as a line."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def frame(self, raw: Mapping[str, Any]) -> None:
        """Print the frame."""
        print(json.dumps(raw, ensure_ascii=False), flush=True)


class PlainText:
    """The text as it comes, its sources below; what tools did goes to ``err``."""

    def __init__(self, out: Console, err: Console, words: Mapping[str, str]) -> None:
        self._out, self._err, self._words = out, err, words
        self._docs: Sequence[Mapping[str, Any]] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._out.print()
        if kind is None:
            show_sources(self._out, self._docs, words=self._words, rule=False)

    def frame(self, raw: Mapping[str, Any]) -> None:
        """Take a frame."""
        match raw["type"]:
            case "text":
                self._out.print(Text(harmless(raw["content"])), end="", soft_wrap=True)
            case "source":
                self._docs = raw["docs"]
            case "restart":
                self._out.print()
                self._err.print(self._words["restart"])
            case "tool_call" if raw["state"] != "started":
                self._err.print(tool_line(raw))
            case _:
                pass  # a status is gone before a pipe is read


class LiveText:
    """The answer as Markdown that grows, with the line of status below it."""

    def __init__(self, out: Console, words: Mapping[str, str]) -> None:
        self._out, self._words = out, words
        self._docs: Sequence[Mapping[str, Any]] = ()
        self._tail = ""
        self._status = words["waiting"]
        self._live = Live(
            console=out, transient=True, refresh_per_second=_DRAWN_PER_S,
            vertical_overflow="ellipsis", get_renderable=self._drawn,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        tail, self._tail, self._status = self._tail, "", ""
        self._live.stop()
        self._print(tail)
        if kind is None:
            show_sources(self._out, self._docs, words=self._words, rule=True)

    def frame(self, raw: Mapping[str, Any]) -> None:
        """Take a frame."""
        match raw["type"]:
            case "text":
                self._add(harmless(raw["content"]))
            case "status":
                self._status = self._words.get(raw["phase"], str(raw["phase"]))
                if raw["phase"] == "taken_over":
                    self._out.print(Text(f"  {self._status}", "dim"))
            case "source":
                self._docs = raw["docs"]
            case "restart":
                self._tail = ""
                self._out.print(Text(self._words["restart"], "dim"))
            case "tool_call" if raw["state"] != "started":
                self._out.print(tool_line(raw))
            case "tool_call":
                self._status = f"{self._words['tools']}: {raw['name']}"
            case _:
                pass

    def _add(self, piece: str) -> None:
        """Print the blocks that the piece ends, and keep the one that has begun."""
        *lines, rest = (self._tail + piece).split("\n")
        block: list[str] = []
        fenced = False  # a block never begins within a fence
        for line in lines:
            block.append(line)
            if line.lstrip().startswith(("```", "~~~")):
                fenced = not fenced
            if not fenced and not line.strip():
                self._print("\n".join(block))
                block = []
        self._tail = "\n".join([*block, rest])

    def _print(self, block: str) -> None:
        if block.strip():
            # A space between blocks is part of Markdown's own look, not of its source.
            self._out.print(Markdown(block.strip("\n"), hyperlinks=False))
            self._out.print()

    def _drawn(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._tail.strip():
            # Of a block that is higher than the screen, its end is what is being written.
            room = max(3, self._out.height - 4)
            parts.append(Markdown("\n".join(self._tail.split("\n")[-room:]), hyperlinks=False))
        if self._status:
            parts.append(Spinner("dots", Text(f"{self._status} …", "dim")))
        return Group(*parts)


def tool_line(raw: Mapping[str, Any]) -> Text:
    """Return the line of a call that ended: its name, its arguments, how it ended."""
    said = ", ".join(f"{name}={value}" for name, value in raw.get("args", {}).items())
    colour = {"done": "green", "failed": "red"}.get(raw["state"], "yellow")
    line = Text("  ")
    line.append({"done": "✓ ", "failed": "✗ "}.get(raw["state"], "? "), colour)
    line.append(harmless(f"{raw['name']}({_short(said)})"), "dim")
    return line


def show_sources(
    out: Console, docs: Sequence[Mapping[str, Any]], *, words: Mapping[str, str], rule: bool
) -> None:
    """Print what an answer cites, each under its number."""
    if docs and rule:
        out.print(Text(words["sources"], "bold dim"))
    for doc in docs:
        line = Padding(source_line(doc["n"], doc), (0, 0, 0, 1 if rule else 0), expand=False)
        out.print(line, style="dim")


def source_line(number: int, row: Mapping[str, Any]) -> Text:
    """Return the line of a passage: its number, its title, where it stands."""
    heading = row.get("heading") or ""
    # A search names the path of headings in parts, so does a source frame; older ones, one text.
    place = heading if isinstance(heading, str) else " › ".join(heading)
    title = row.get("title") or row["document"]
    page = f"  p. {row['page']}" if row.get("page") else ""
    where = harmless(f"{title}  {row['document']}{page}  {place}")
    return Text.assemble((f"[{number}] ", "bold"), where)


def _short(text: str) -> str:
    return text if len(text) <= _RESULT_CHARS else text[: _RESULT_CHARS - 1] + "…"
