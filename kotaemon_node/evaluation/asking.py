"""One question through retrieval and generation, by the same functions that answer users."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.knowledge import BOTH_LEGS, Hit, Leg
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.extractive import evidence, extract
from kotaemon_node.engine.prompt import build_prompt
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
    """How much speaks for the best of them (``engine.extractive.evidence``)."""


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


def retrieve(base: Base, question: Question, *, retriever: RetrieverType, top_k: int) -> Retrieved:
    """Search as a turn does, and once more deeper for the ranking."""
    legs = _LEGS[retriever]
    vectors = base.encode(question.text) if "dense" in legs else {}
    deep = base.searcher.search(question.text, top_k=DEPTH, encoded=vectors, legs=legs).hits
    # Not the first of the deep ones: how many are asked for decides how many are fused.
    hits = base.searcher.search(question.text, top_k=top_k, encoded=vectors, legs=legs).hits
    names = dict.fromkeys(base.name_of(hit.passage.document) for hit in deep)
    best = max((evidence(hit, question.language) for hit in hits), default=0.0)
    return Retrieved(tuple(names), hits, best)


Generate = Callable[[Base, Question, Sequence[Hit]], Answered]


def extractive(base: Base, question: Question, hits: Sequence[Hit]) -> Answered:
    """Answer with sentences of the passages."""
    answer = extract(question.text, hits)
    cited = tuple(base.name_of(hit.passage.document) for hit in answer.cited)
    return Answered(answer.text, cited, answer.known)


def by_model(model: LanguageModel) -> Generate:
    """Return what answers with a language model, and as a turn does where it fails."""

    def generate(base: Base, question: Question, hits: Sequence[Hit]) -> Answered:
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
            answer = extractive(base, question, hits)
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
    """Pair what a user said with the answer that follows it."""
    return [
        Turn(turn_id=str(number), message=said, state=State.DONE, answer=answer)
        for number, ((role, said), (other, answer)) in enumerate(pairwise(history))
        if role == "user" and other != "user"
    ]
