"""What a plugin answered, read without trust: a result, a refusal, a proposal or a question."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from kotaemon_node.domain.acting_limits import ACTED_TEXT_CHARS_MAX, PROPOSAL_CHARS_MAX
from kotaemon_node.domain.visible import visible_text
from kotaemon_node.engine.ledger import Outcome

_MARK: Final = re.compile(r" ?\[\d{1,3}\]")
"""Only passages are cited; what a plugin writes so would be taken for a citation."""
_RESULT: Final = re.compile(r'\{"result":("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Proposed:
    """A call of ``run`` that waits for a yes."""

    arguments: Mapping[str, Any]
    summary: str


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of a plugin. Of ``text``, ``refusal``, ``proposed`` and ``wanted`` one is there."""

    text: str = ""
    refusal: str = ""
    proposed: Proposed | None = None
    wanted: str = ""
    """The slot without whose value the plugin cannot answer."""
    question: str = ""
    """How the plugin asks for it; "": in the engine's words."""
    choices: tuple[str, ...] = ()
    too_large: bool = False
    """A proposal that does not fit into what is kept of a call, or into a sentence."""
    slots: Mapping[str, Any] = field(default_factory=dict)
    """What the answer is about: one value, or a list of those that it names."""

    @property
    def values(self) -> Mapping[str, Any]:
        """The slots that have one value."""
        return {name: it for name, it in self.slots.items() if not isinstance(it, list)}

    @property
    def entities(self) -> Mapping[str, Sequence[str]]:
        """The slots with all values that the answer names."""
        return {
            name: [str(one) for one in (it if isinstance(it, list) else [it])]
            for name, it in self.slots.items()
        }


def said(outcome: Outcome) -> Said:
    """Read the outcome of a call that is done; what has none of the known forms is shown as is."""
    try:
        value = orjson.loads(outcome.told)
    except orjson.JSONDecodeError:  # it was cut off, mostly somewhere in its details
        if outcome.told.startswith('{"propose"'):
            return Said(too_large=True)
        begin = _RESULT.match(outcome.told)
        return Said(text=shown(orjson.loads(begin[1])) if begin else "")
    if not isinstance(value, Mapping):
        return Said(text=_as_text(value))
    slots = value.get("slots")
    found = _said(value)
    return found if not isinstance(slots, Mapping) else _with_slots(found, slots)


def _said(value: Mapping[str, Any]) -> Said:
    proposal, question = value.get("propose"), value.get("ask")
    if value.get("error"):
        return Said(refusal=_as_text(value["error"]))
    if isinstance(proposal, Mapping):
        arguments = proposal.get("arguments")
        summary = " ".join(shown(str(proposal.get("summary") or "")).split())
        if len(summary) > PROPOSAL_CHARS_MAX:
            return Said(too_large=True)
        return Said(proposed=Proposed(arguments if isinstance(arguments, Mapping) else {}, summary))
    if isinstance(question, Mapping) and question.get("slot"):
        choices = question.get("choices")
        return Said(
            wanted=str(question["slot"]),
            question=shown(str(question.get("text") or "")),
            choices=tuple(map(str, choices)) if isinstance(choices, list) else (),
        )
    if "result" in value:
        return Said(text=_as_text(value["result"]))
    return Said(text=_as_text(value))


def _with_slots(found: Said, slots: Mapping[str, Any]) -> Said:
    known = {str(name): it for name, it in slots.items() if it not in (None, "", [])}
    return replace(found, slots=known)


def _as_text(value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    return shown(value if isinstance(value, str) else orjson.dumps(value).decode())


def shown(text: str) -> str:
    """Return what a plugin wrote as it may be shown: visible, bounded, without marks ``[n]``."""
    plain = _MARK.sub("", visible_text(text)).strip()
    if len(plain) <= ACTED_TEXT_CHARS_MAX:
        return plain
    return plain[: ACTED_TEXT_CHARS_MAX - 1] + "…"
