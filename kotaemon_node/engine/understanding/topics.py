"""What a talk is about: the phrases that weigh most in its last exchanges.

A phrase counts wherever it is said again: most in a message that stands alone, since it names what
the talk turns to, least inside an answer; less the longer ago; and less again with each later
message that turned to something else. Two exceptions: what an answer offers by its name ("it's
called …") is what the next message is about, and what is asked of everything ("price", "电话") is
never what a talk is about.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.limits import MAX_HISTORY_TURNS
from kotaemon_node.domain.words import words
from kotaemon_node.engine.understanding import chinese, english

_DECAY: Final = 0.85
"""What is left of a weight one exchange later."""
_TURNED: Final = 0.7
"""What is left of it once a message turned to something else."""
_STANDS_ALONE: Final = 1.6
_DEPENDS: Final = 1.0
_IN_ANSWER: Final = 0.4
_OFFERED: Final = 4.0
_MESSAGE_CHARS_MAX: Final = 600
_ANSWER_CHARS_MAX: Final = 400
"""An answer says at its beginning what it is about; what follows brings other names."""
_PHRASES_MAX: Final = 16
"""Of one text: with ten exchanges the work stays below a millisecond."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message and its answer, which may be ""."""

    message: str
    answer: str


def no_attributes(text: str) -> Sequence[str]:
    """Know none by their form."""
    return ()


@dataclass(frozen=True, slots=True)
class Tongue:
    """What the rules know of a language."""

    depends: Callable[[str], bool]
    phrases: Callable[[str], Sequence[str]]
    offered: Callable[[str], Sequence[str]]
    names: Callable[[str], Sequence[str]]
    weight: Callable[[str], float]
    attributes: Callable[[str], Sequence[str]] = no_attributes


TONGUES: Final[Mapping[Language, Tongue]] = {
    "en": Tongue(english.depends, english.phrases, english.offered, english.names, english.weight),
    "zh": Tongue(
        chinese.depends,
        chinese.phrases,
        chinese.offered,
        chinese.names,
        chinese.weight,
        chinese.attributes,
    ),
}


@dataclass(frozen=True, slots=True)
class _Said:
    """One exchange and how much it still counts."""

    message: str
    answer: str
    weight: float
    alone: bool
    """Whether the message stands alone."""


def depends(message: str) -> bool:
    """Tell whether ``message`` needs what was said before it to be understood.

    A long one says what it is about.
    """
    if len(message) > _MESSAGE_CHARS_MAX:
        return False
    return TONGUES[language_of(message)].depends(message)


def topics(past: Sequence[Exchange], message: str) -> Iterator[tuple[str, float]]:
    """Yield phrases of ``past`` (oldest first) that ``message`` does not have, weightiest first."""
    said = _weighed(past)
    offers = [(name.lower(), one.weight) for one in said for name in _offered(one.answer)]
    texts = [(one, one.message.lower(), one.answer.lower()) for one in said]
    found: list[tuple[str, float]] = []
    for key, (phrase, telling) in _candidates(said).items():
        score = sum(weight * _OFFERED for name, weight in offers if name == key)
        for one, asked, answered in texts:
            if key in asked:
                score += one.weight * (_STANDS_ALONE if one.alone else _DEPENDS)
            if key in answered:
                score += one.weight * _IN_ANSWER
        found.append((phrase, score * telling))
    known = set(words(message))
    for phrase, score in sorted(found, key=lambda one: (-one[1], one[0])):
        if not set(words(phrase)) <= known:
            yield phrase, score


def last_attribute(past: Sequence[Exchange], message: str) -> list[str]:
    """Return the first thing that the last message asked of everything ("保修期"), if any."""
    if not past:
        return []
    asked = past[-1].message[:_MESSAGE_CHARS_MAX]
    known = set(words(message))
    attributes = TONGUES[language_of(asked)].attributes(asked)
    return [one for one in attributes[:1] if not set(words(one)) <= known]


def _weighed(past: Sequence[Exchange]) -> list[_Said]:
    """Return the exchanges newest first."""
    weight, said = 1.0, []
    for exchange in reversed(past[-MAX_HISTORY_TURNS:]):
        message = exchange.message[:_MESSAGE_CHARS_MAX]
        alone = bool(message.strip()) and not depends(message)
        said.append(_Said(message, exchange.answer[:_ANSWER_CHARS_MAX], weight, alone))
        weight *= _DECAY * (_TURNED if alone else 1.0)
    return said


def _candidates(said: Sequence[_Said]) -> dict[str, tuple[str, float]]:
    """Return the phrases with their weights, by what they are compared by; the newest stand."""
    found: dict[str, tuple[str, float]] = {}
    for one in said:
        asks, answers = TONGUES[language_of(one.message)], TONGUES[language_of(one.answer)]
        groups = (
            (answers, answers.offered(one.answer)),
            (asks, asks.phrases(one.message)),
            (answers, answers.names(one.answer)),
        )
        for tongue, phrases in groups:
            for phrase in phrases[:_PHRASES_MAX]:
                key = phrase.lower()
                if key not in found:
                    found[key] = (phrase, tongue.weight(phrase))
    return found


def _offered(answer: str) -> Sequence[str]:
    return TONGUES[language_of(answer)].offered(answer)
