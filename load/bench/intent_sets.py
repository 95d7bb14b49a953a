"""Public sets of intents, each cut into what an operator would write and what users then say.

Only the tuning halves are read. Where a set has no messages without an intent, every fifth intent
is taken out of the examples, by a hash: its messages are strangers.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

Row = tuple[str, str]
"""(text, intent)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One classifier's share of a set."""

    examples: tuple[Row, ...]
    asked: tuple[Row, ...]
    strangers: tuple[str, ...]
    """Messages without an intent."""

    def few(self, most: int | None, draw: int) -> "Cut":
        """Return it with at most so many examples an intent, drawn by a hash."""
        if most is None:
            return self
        kept: dict[str, list[Row]] = {}
        for row in sorted(self.examples, key=lambda it: _number(f"{draw}|{it[0]}")):
            kept.setdefault(row[1], []).append(row)
        return replace(self, examples=tuple(row for rows in kept.values() for row in rows[:most]))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _rows(folder: Path, file: str = "intents") -> list[dict[str, Any]]:
    lines = (folder / "dev" / f"{file}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _without_strangers(examples: Sequence[Row], asked: Sequence[Row]) -> Cut:
    """Take every fifth intent out, and what it is asked for with it."""
    names = sorted({name for _, name in examples}, key=_number)
    out = set(names[::5])
    return Cut(
        tuple(it for it in examples if it[1] not in out),
        tuple(it for it in asked if it[1] not in out),
        tuple(text for text, name in asked if name in out),
    )


def _whole(examples: Sequence[Row], asked: Sequence[Row]) -> Cut:
    return Cut(tuple(examples), tuple(asked), ())


def _by_split(rows: Sequence[Mapping[str, Any]], wanted: Callable[[Any], bool]) -> list[Row]:
    return [(row["text"], row["intent"]) for row in rows if wanted(row)]


def _banking(data: Path) -> list[Cut]:
    rows = _rows(data / "banking77")
    train = _by_split(rows, lambda it: it["split"] == "train")
    test = _by_split(rows, lambda it: it["split"] == "test")
    return [_whole(train, test), _without_strangers(train, test)]


def _clinc(data: Path) -> list[Cut]:
    rows = _rows(data / "clinc150")
    train = _by_split(rows, lambda it: it["split"] == "train" and not it["oos"])
    test = _by_split(rows, lambda it: it["split"] == "test" and not it["oos"])
    strange = tuple(it["text"] for it in rows if it["split"] == "test" and it["oos"])
    return [Cut(tuple(train), tuple(test), strange)]


def _bitext(data: Path) -> list[Cut]:
    rows = _rows(data / "bitext_cs")
    train = _by_split(rows, lambda it: it["split"] == "train")
    test = _by_split(rows, lambda it: it["split"] == "test")
    return [_whole(train, test), _without_strangers(train, test)]


def _natcs(data: Path) -> list[Cut]:
    rows = [
        (f"{it['domain']}|{it['text']}", f"{it['domain']} {it['intent']}")
        for it in _rows(data / "natcs_intents")
    ]
    train = [(it[0].partition("|")[2], it[1]) for it in rows if _number(it[0]) % 2]
    names = {name for _, name in train}
    test = [
        (it[0].partition("|")[2], it[1]) for it in rows if not _number(it[0]) % 2 and it[1] in names
    ]
    return [_whole(train, test), _without_strangers(train, test)]


def _cic(data: Path) -> list[Cut]:
    rows = _rows(data / "cic_zh")
    train = _by_split(rows, lambda it: it["split"] == "train")
    test = _by_split(rows, lambda it: it["split"] == "test")  # labels checked upstream
    return [_whole(train, test), _without_strangers(train, test)]


_TELLS_NOTHING: Final = "contentonly"
_OUT: Final = "outofdomain"


def _multidogo(data: Path) -> list[Cut]:
    """One classifier a domain; its strangers are the turns that people marked as out of domain."""
    found: dict[str, dict[str, list[Row]]] = {}
    for talk in _rows(data / "multidogo", "dialogues"):
        side = "examples" if _number(talk["dialogue_id"]) % 2 else "asked"
        rows = found.setdefault(talk["domain"], {"examples": [], "asked": [], "strangers": []})
        for turn in talk["user_turns"]:
            if len(turn["intents"]) != 1 or " " in turn["intents"][0]:
                continue
            (name,) = turn["intents"]
            if name == _OUT:
                rows["strangers"].append((turn["text"], name))
            elif name != _TELLS_NOTHING:
                rows[side].append((turn["text"], name))
    cuts = []
    for _, rows in sorted(found.items()):
        names = {name for _, name in rows["examples"]}
        cuts.append(
            Cut(
                tuple(rows["examples"]),
                tuple(it for it in rows["asked"] if it[1] in names),
                tuple(text for text, _ in rows["strangers"]),
            )
        )
    return cuts


SETS: Final[Mapping[str, Callable[[Path], list[Cut]]]] = {
    "banking77": _banking,
    "clinc150": _clinc,
    "bitext_cs": _bitext,
    "natcs_intents": _natcs,
    "multidogo": _multidogo,
    "cic_zh": _cic,
}
