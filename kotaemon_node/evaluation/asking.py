"""One question through retrieval and generation, by the same functions that answer users."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.experiment import ExpanderType
from kotaemon_node.domain.knowledge import BOTH_LEGS, Hit, Leg, SearchResult
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.evidence import Weighing
from kotaemon_node.engine.extractive import extract
from kotaemon_node.engine.prompt import build_prompt
from kotaemon_node.engine.threshold import clear
from kotaemon_node.engine.understanding import Asked
from kotaemon_node.engine.understanding.expanding import Expanding, Said
from kotaemon_node.engine.understanding.searching import searched
from kotaemon_node.engine.understanding.topics import Exchange
from kotaemon_node.evaluation.base import Base
from kotaemon_node.evaluation.experiment import RetrieverType
from kotaemon_node.evaluation.names import DEPTH
from kotaemon_node.evaluation.sets.form import Question
from kotaemon_node.ports.language_model import LanguageModel, Usage

_CITATION: Final = re.compile(r"\[(\d{1,3})\]")
_LEGS: Final[dict[RetrieverType, frozenset[Leg]]] = {
    "hybrid": BOTH_LEGS,
    "lexical": frozenset({"lexical"}),
    "dense": frozenset({"dense"}),
}


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What a question found."""

    ranking: tuple[str, ...]
    """Documents by their best passage, best first, none twice."""
    hits: tuple[Hit, ...]
    """The passages that an answer is made of."""
    evidence: float
    """How much speaks for the best of them (``engine.evidence``)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer."""

    text: str
    cited: tuple[str, ...]
    """Documents of the passages cited, in the order of their numbers."""
    known: bool
    """False where it says that it does not know."""
    degraded: bool = False
    """Whether the language model failed and the passages alone answered."""


def understand(
    expanding: Expanding, question: Question, *, expander: ExpanderType, seed: int
) -> Asked:
    """Make what is searched of a question and what was said before it, as a turn does."""
    said = Said(
        question.text,
        [Exchange(message, answer) for message, answer in exchanges(question.history)],
        question.id,
        {"seed": seed},
    )
    return expanding.expand(said, expander, stop=_Unstopped())


def retrieve(base: Base, asked: Asked, *, retriever: RetrieverType, top_k: int) -> Retrieved:
    """Search as a turn does, and once more deeper for the ranking."""
    legs = _LEGS[retriever]
    texts = (asked.search, *asked.parts)
    vectors = {text: base.encode(text) if "dense" in legs else {} for text in texts}

    def search(text: str, k: int) -> SearchResult:
        return base.searcher.search(text, top_k=k, encoded=vectors[text], legs=legs)

    # Not the first of the deep ones: how many are asked for decides how many are fused.
    deep = searched(asked, lambda text: search(text, DEPTH), top_k=DEPTH).hits
    hits = searched(asked, lambda text: clear(search(text, top_k)), top_k=top_k).hits
    names = dict.fromkeys(base.name_of(hit.passage.document) for hit in deep)
    best = Weighing(asked.search).best(hits)
    return Retrieved(tuple(names), hits, best)


Generate = Callable[[Base, Question, Asked, Sequence[Hit]], Answered]


def extractive(base: Base, question: Question, asked: Asked, hits: Sequence[Hit]) -> Answered:
    """Answer with sentences of the passages."""
    answer = extract(asked.search, hits)
    cited = tuple(base.name_of(hit.passage.document) for hit in answer.cited)
    return Answered(answer.text, cited, answer.known)


def by_model(model: LanguageModel) -> Generate:
    """Return what answers with a language model, and as a turn does where it fails."""

    def generate(base: Base, question: Question, asked: Asked, hits: Sequence[Hit]) -> Answered:
        prompt = build_prompt(
            question.text,
            hits=hits,
            history=_turns(question.history),
            summary="",
            # The mark in the prompt comes from it: the same question, the same prompt.
            trace_id=question.id,
        )
        try:
            pieces = model.stream(prompt, prefix="", usage=Usage(), stop=_Unstopped())
            text = "".join(piece for piece in pieces if isinstance(piece, str))
        except LanguageModelError:
            answer = extractive(base, question, asked, hits)
            return Answered(answer.text, answer.cited, answer.known, degraded=True)
        numbers = dict.fromkeys(int(number) for number in _CITATION.findall(text))
        cited = [hits[number - 1] for number in numbers if 1 <= number <= len(hits)]
        names = tuple(base.name_of(hit.passage.document) for hit in cited)
        # The rules of the prompt: who does not know says so and cites nothing.
        return Answered(text, names, known=bool(names))

    return generate


class _Unstopped:
    """``ports.runtime.StopSignal`` of work that nobody stops but with Ctrl-C."""

    def breaking_off(self, break_off: Callable[[], None]) -> AbstractContextManager[None]:
        """See the port."""
        return _nothing()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _turns(history: Sequence[tuple[str, str]]) -> list[Turn]:
    """Return the exchanges as turns; what nobody answered was no turn."""
    return [
        Turn(turn_id=str(number), message=message, state=State.DONE, answer=answer)
        for number, (message, answer) in enumerate(exchanges(history))
        if message and answer
    ]


def exchanges(history: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pair what a user said with what was answered before the next message; either may be ""."""
    found: list[tuple[str, str]] = []
    for role, text in history:
        if role == "user" or not found:
            found.append((text, "") if role == "user" else ("", text))
        else:
            message, answer = found[-1]
            found[-1] = (message, f"{answer}\n{text}" if answer else text)
    return found
