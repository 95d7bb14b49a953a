"""The file in which an operator describes intents: read once, checked whole.

intents:
  query_order:
    keywords: [where is my order, 我的订单到哪]
    examples: [has my parcel left yet?]
    slots: [order_id]
slots:
  order_id: {patterns: ['(?:order|订单)\\s*#?(\\d+)'], form: '\\d{3,12}'}
corrections:
  - when: {intent: query_order, previous: [query_refund]}
    intent: query_refund
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.intent_book import (
    EMPTY_BOOK,
    OUTSIDE,
    Condition,
    Correction,
    IntentBook,
    IntentRule,
    SlotRule,
    SlotType,
)
from kotaemon_node.domain.language import Language

Place = tuple[str | int, ...]
Check = Callable[[IntentBook], Iterable[tuple[Place, str]]]
"""Tells what in a book cannot be meant, and where."""

_TOLD: int = 5
"""Problems of one file that are told at once."""


def _worded(text: str) -> str:
    if not text.strip():
        raise ValueError("it is blank")
    return text


Name = Annotated[str, Field(max_length=128), AfterValidator(_worded)]
SlotName = Annotated[str, Field(pattern=rf"^\w{{1,{limits.STATE_NAME_CHARS_MAX}}}$")]
Words = Annotated[str, Field(max_length=limits.INTENT_CHARS_MAX), AfterValidator(_worded)]
Value = str | int | float | bool


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Slot(_Strict):
    type: SlotType = "text"
    patterns: list[str] = Field(default_factory=list, max_length=100)
    values: dict[Words, list[Words]] = Field(default_factory=dict)
    form: str = ""
    least: float | None = None
    most: float | None = None
    ask: dict[Language, Words] = Field(default_factory=dict)


class _Intent(_Strict):
    description: str = Field(default="", max_length=1_000)
    keywords: list[Words] = Field(default_factory=list, max_length=1_000)
    patterns: list[str] = Field(default_factory=list, max_length=1_000)
    unless: list[str] = Field(default_factory=list, max_length=100)
    examples: list[Words] = Field(default_factory=list, max_length=limits.INTENT_EXAMPLES_MAX)
    slots: list[str] = Field(default_factory=list)
    needs: list[str] = Field(default_factory=list)


class _When(_Strict):
    intent: Name | list[Name | None] | None = Field(default_factory=list)
    slots: dict[str, Value] = Field(default_factory=dict)
    context: dict[str, Value] = Field(default_factory=dict)
    topic: str = ""
    text: str = ""
    previous: list[Name] = Field(default_factory=list)
    within: int = Field(default=3, ge=1, le=10)
    below: float | None = Field(default=None, ge=0, le=1)


class _Correction(_Strict):
    when: _When
    intent: Name | None
    slots: dict[str, Value] = Field(default_factory=dict)


class _File(_Strict):
    intents: dict[Name, _Intent] = Field(default_factory=dict, max_length=limits.INTENTS_MAX)
    slots: dict[SlotName, _Slot] = Field(default_factory=dict, max_length=limits.STATE_SLOTS_MAX)
    corrections: list[_Correction] = Field(default_factory=list, max_length=limits.CORRECTIONS_MAX)


def read_intents(path: Path | None, *, check: Check) -> IntentBook:
    """Return what the file says; an empty book where there is no file.

    ``ValueError`` says what is wrong, with line and place.
    """
    if path is None:
        return EMPTY_BOOK
    try:
        with path.open("rb") as file:
            content = file.read(limits.INTENTS_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"INTENTS_FILE cannot be read: {error}") from error
    if len(content) > limits.INTENTS_FILE_BYTES_MAX:
        raise ValueError(f"INTENTS_FILE is larger than {limits.INTENTS_FILE_BYTES_MAX} bytes")
    return parse_intents(content, check=check)


def parse_intents(content: bytes, *, check: Check) -> IntentBook:
    """Return what ``content``, YAML or JSON, says. ``ValueError`` as ``read_intents``."""
    try:
        told = yaml.safe_load(content)
        described = _File.model_validate({} if told is None else told)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"INTENTS_FILE is neither YAML nor JSON: {error}") from error
    except ValidationError as error:
        # The last part of a place may name a branch of a union, which is not in the file.
        found = [(one["loc"], one["msg"]) for one in error.errors()]
        raise ValueError(_told(content, found)) from error
    book = _book(described)
    wrong = [*_doubled(content), *_too_many(book), *check(book)]
    if wrong:
        raise ValueError(_told(content, wrong))
    return book


def _book(file: _File) -> IntentBook:
    return IntentBook(
        intents=tuple(
            IntentRule(
                name,
                description=rule.description,
                keywords=tuple(rule.keywords),
                patterns=tuple(rule.patterns),
                unless=tuple(rule.unless),
                examples=tuple(rule.examples),
                slots=tuple(rule.slots),
                needs=tuple(rule.needs),
            )
            for name, rule in file.intents.items()
            if name != OUTSIDE
        ),
        slots={name: _slot(name, slot) for name, slot in file.slots.items()},
        corrections=tuple(_correction(it) for it in file.corrections),
        outside=tuple(file.intents[OUTSIDE].examples) if OUTSIDE in file.intents else (),
    )


def _slot(name: str, slot: _Slot) -> SlotRule:
    return SlotRule(
        name,
        slot.type,
        patterns=tuple(slot.patterns),
        values={value: tuple(words) for value, words in slot.values.items()},
        form=slot.form,
        least=slot.least,
        most=slot.most,
        ask={language: words for language, words in slot.ask.items()},
    )


def _correction(said: _Correction) -> Correction:
    when = said.when
    intents = when.intent if isinstance(when.intent, list) else [when.intent]
    condition = Condition(
        intents=tuple(_intent(it) for it in intents),
        slots=when.slots,
        context=when.context,
        topic=when.topic,
        text=when.text,
        previous=tuple(when.previous),
        within=when.within,
        below=when.below,
    )
    return Correction(condition, _intent(said.intent), said.slots)


def _intent(name: str | None) -> str | None:
    return None if name == OUTSIDE else name


def _too_many(book: IntentBook) -> Iterable[tuple[Place, str]]:
    examples = sum(len(rule.examples) for rule in book.intents) + len(book.outside)
    if examples > limits.INTENT_EXAMPLES_MAX:
        yield ("intents",), f"more than {limits.INTENT_EXAMPLES_MAX} examples"


def _doubled(content: bytes) -> Iterable[tuple[Place, str]]:
    """Tell of keys that are given twice: YAML keeps the last and says nothing."""
    for key in ("intents", "slots"):
        node = _node(yaml.compose(content, Loader=yaml.SafeLoader), (key,))
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for name, _ in node.value:
                if name.value in seen:
                    yield (key, name.value), "is given twice"
                seen.add(name.value)


def _told(content: bytes, found: Iterable[tuple[Place, str]]) -> str:
    root = yaml.compose(content, Loader=yaml.SafeLoader)
    many = list(found)
    lines = []
    for place, reason in many[:_TOLD]:
        node = _node(root, place)
        line = f"line {node.start_mark.line + 1}: " if node is not None else ""
        lines.append(f"{line}{'.'.join(map(str, place))}: {reason}")
    more = f"; and {len(many) - _TOLD} more" if len(many) > _TOLD else ""
    return f"INTENTS_FILE: {'; '.join(lines)}{more}"


def _node(root: Any, place: Place) -> Any:
    """Return the node at ``place``, or the nearest above it that is in the file."""
    node = root
    for part in place:
        below = None
        if isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            below = node.value[part] if part < len(node.value) else None
        if below is None:
            break
        node = below
    return node
