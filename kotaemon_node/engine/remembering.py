"""Hot answers in a turn: looked up, joined while another turn makes them, kept when they are made.

Law 1: an answer is shared only where nothing but the question that stands alone, the generation and
the recipe went into it. Law 2: no look, and nothing that fails in it, keeps a turn from making its
answer; it costs ``HOT_LOOK_S`` at most, and ``HOT_FOLLOW_S`` of silence where it is joined.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.knowledge import GenerationRef, SearchResult
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.engine.answer_draft import Answering
from kotaemon_node.engine.answer_name import Recipe, answer_name
from kotaemon_node.engine.joining import Joining
from kotaemon_node.engine.sharing import may_be_kept, why_made
from kotaemon_node.engine.similar import Known, SimilarQuestions
from kotaemon_node.ports.hot_answers import AnswerName, Found, HotAnswer, HotAnswers
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import ToolSpec
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

FAQ: Final = "faq"
"""Note in the record of a turn that an entry of an FAQ answers; such turns are counted."""
REMEMBERED: Final = "remembered"
"""Step: the hot answer that is used."""
_PIECE_CHARS: Final = 4_000  # a usual answer is one frame

Result = Literal["hit", "similar", "joined", "made", "first", "skipped", "unavailable"]


class _Referred(Protocol):
    """What is lent of a generation, as far as it is named here."""

    @property
    def ref(self) -> GenerationRef: ...
    def closeness(self, one: str, other: str) -> float: ...


Pinned = Callable[[Answering], AbstractContextManager[_Referred]]
"""Lends the generation that a turn is answered from."""
Make = Callable[[Answering], SearchResult]
"""Writes the answer of a turn and returns what it rests on."""
Whole = Callable[[SearchResult], bool]
"""Tells whether what was found is all that should have been."""


def whole_tenant(work: Work) -> str:
    """Return the scope of who may see all that the tenant has."""
    return ""


@dataclass(frozen=True, slots=True)
class _Sought:
    """What a turn looks for."""

    name: AnswerName
    circle: str
    """As ``SimilarQuestions``; "" where no other question would do."""
    ref: GenerationRef
    pinned: Pinned


class Remembering:
    """The step ``remembered`` of a turn. Thread safe; holds nothing of a turn."""

    def __init__(
        self,
        answers: HotAnswers,
        *,
        joining: Joining,
        clock: Clock,
        tasks: Tasks,
        metrics: Metrics,
        programs: str,
        scope_of: Callable[[Work], str] = whole_tenant,
        look_s: float = limits.HOT_LOOK_S,
        similar: SimilarQuestions | None = None,
    ) -> None:
        """``programs``: as ``Recipe.programs``. ``scope_of`` tells what a turn's asker may see.

        ``similar``: None takes no question for another one.
        """
        self._answers = answers
        self._joining = joining
        self._clock = clock
        self._tasks = tasks
        self._metrics = metrics
        self._programs = programs
        self._scope_of = scope_of
        self._look_s = look_s
        self._similar = similar
        self._silent_until_s = 0.0

    def answer(
        self,
        turn: Answering,
        *,
        by: str,
        tools: Sequence[ToolSpec],
        pinned: Pinned,
        make: Make,
        whole: Whole = lambda _: True,
    ) -> None:
        """Answer ``turn`` with a hot answer, else with ``make``.

        ``by`` is the name of the language model, "" where none answers; ``tools`` those that it may
        call. What rests on less than the ``whole`` is not kept. Raises what ``make`` and ``pinned``
        do.
        """
        known = turn.out.decided(REMEMBERED)
        if known is not None:
            self._show(turn, HotAnswer.from_json(known), result="hit")
            return
        reason = why_made(turn, by=by, tools=tools)
        if reason:
            self._note(turn, "skipped", reason=reason)
            make(turn)
            return
        with pinned(turn) as lent:
            ref = lent.ref
        if ref.generation == 0:
            # A tenant without knowledge: what it gets will be of no use in a moment.
            self._note(turn, "skipped", reason="knowledge")
            make(turn)
            return
        recipe = Recipe(
            self._programs, turn.profile.fingerprint, by, tuple(spec.name for spec in tools)
        )
        # What was not searched but read by the model is part of the question.
        read = [turn.work.message] if by else []
        name = self._name(turn, [turn.asked.search, *read, *turn.asked.parts], ref, recipe)
        alone = not turn.asked.parts and (not by or turn.work.message == turn.asked.search)
        circle = (
            self._name(turn, [""], ref, recipe).digest
            if alone and self._similar is not None
            else ""
        )
        self._answer(turn, _Sought(name, circle, ref, pinned), make, whole)

    def _name(
        self, turn: Answering, questions: Sequence[str], ref: GenerationRef, recipe: Recipe
    ) -> AnswerName:
        return answer_name(
            questions,
            tenant=_key(turn).session.tenant,
            kb=ref.kb,
            scope=self._scope_of(turn.work),
            generation=ref.generation,
            digest=ref.digest,
            recipe=recipe,
        )

    def _answer(self, turn: Answering, sought: "_Sought", make: Make, whole: Whole) -> None:
        name, ref = sought.name, sought.ref
        found = self._look(name, _key(turn))
        author = found.author if found else None
        if author not in (None, _key(turn)):
            joined = self._joining.joined(turn, author, generation=ref.generation)
            if joined is not None:
                self._know(turn, sought)
                joined = replace(joined, made_by=_told(author))
                self._conclude(turn, joined, result="joined")
                return
            # It is dead, slow or has failed. One of those who waited for it is the next author.
            found = self._look(name, _key(turn), instead_of=author)
        if found is not None and found.answer is not None:
            self._know(turn, sought)
            self._show(turn, found.answer, result="hit")
        elif found is not None and (similar := self._like(turn, sought)) is not None:
            if found.author == _key(turn):
                self._give_up(name, _key(turn))
            self._show(turn, similar, result="similar")
        elif found is not None and found.author == _key(turn):
            self._note(turn, "made")
            with self._author(name, _key(turn)):
                rests_on = make(turn)
                turn.out.drain()
                if whole(rests_on) and may_be_kept(turn, ref, rests_on):
                    self._keep(name, turn)
                    self._know(turn, sought)
                else:
                    self._give_up(name, _key(turn))
        else:
            self._note(turn, "unavailable" if found is None else "made" if author else "first")
            make(turn)

    # Similar questions.

    def _know(self, turn: Answering, sought: "_Sought") -> None:
        if self._similar is not None and sought.circle:
            self._similar.note(sought.circle, Known(turn.asked.search, sought.name))

    def _like(self, turn: Answering, sought: "_Sought") -> HotAnswer | None:
        """Return the hot answer of a question that says the same in other small words."""
        if self._similar is None or not sought.circle:
            return None
        question = turn.asked.search
        known = self._similar.find(sought.circle, question)
        if known is None or known.name == sought.name:
            return None
        try:
            with sought.pinned(turn) as lent:
                if lent.closeness(question, known.question) < self._similar.least:
                    return None
            return self._answers.get(known.name)
        except NodeError as error:  # the store's, or an encoder's that is asked too much
            _log.info("hot_answers_unavailable", error=str(error))
            return None

    # Looking.

    def _look(
        self, name: AnswerName, asker: TurnKey, *, instead_of: TurnKey | None = None
    ) -> Found | None:
        """Return what there is, or None where that is not known in time."""
        if self._clock.monotonic_s() < self._silent_until_s:
            return None
        found: list[Found] = []
        done, late = threading.Event(), threading.Event()

        def look() -> None:
            try:
                found.append(self._answers.look(name, asker, instead_of=instead_of))
                if late.is_set() and found[0].author == asker:
                    self._answers.give_up(name, asker)  # nobody waits for this any more
            except NodeError as error:
                _log.info("hot_answers_unavailable", error=str(error))
            finally:
                done.set()

        self._tasks.spawn("look for a hot answer", look)
        if not self._clock.wait(done, self._look_s):
            late.set()
        if found:
            return found[0]
        self._silent_until_s = self._clock.monotonic_s() + limits.HOT_LOOK_PAUSE_S
        return None

    # Showing.

    def _show(self, turn: Answering, answer: HotAnswer, *, result: Result) -> None:
        out = turn.out
        if out.decided(REMEMBERED) is None:
            # Whoever takes the turn over shows the same, also when it is not hot any more.
            out.decide(REMEMBERED, answer.to_json())
        turn.phase("remembered")
        if answer.docs:
            out.source(answer.docs)
        for start in range(0, len(answer.text), _PIECE_CHARS):
            out.text(answer.text[start : start + _PIECE_CHARS])
        self._tell(turn, answer, result)

    def _conclude(self, turn: Answering, answer: HotAnswer, *, result: Result) -> None:
        turn.out.decide(REMEMBERED, answer.to_json())
        self._tell(turn, answer, result)

    def _tell(self, turn: Answering, answer: HotAnswer, result: Result) -> None:
        turn.out.finish()
        draft = turn.draft
        draft.generations = {turn.kb: answer.generation}
        draft.cached = True
        draft.unanswered = answer.unanswered
        if answer.faq:
            draft.record[FAQ] = {REMEMBERED: True}
        if not draft.usage:  # what it took to understand the question, if anything
            draft.usage = {name: 0 for name, value in answer.usage.items() if _counts(value)}
        self._note(turn, result, usage=dict(answer.usage), made_by=answer.made_by)

    def _note(self, turn: Answering, result: Result, **facts: Any) -> None:
        self._metrics.answer_cache(result)
        turn.draft.record[REMEMBERED] = {"result": result, **facts}

    # Keeping.

    @contextmanager
    def _author(self, name: AnswerName, asker: TurnKey) -> Iterator[None]:
        """Be the author while the block runs; where it fails, nobody is to wait for it."""
        written = False
        try:
            yield
            written = True
        finally:
            if not written:
                self._give_up(name, asker)

    def _keep(self, name: AnswerName, turn: Answering) -> None:
        draft, asker = turn.draft, _key(turn)
        answer = HotAnswer(
            text=turn.out.answer,
            docs=turn.out.docs,
            generation=draft.generations[turn.kb],
            usage=dict(draft.usage),
            unanswered=draft.unanswered,
            faq=FAQ in turn.draft.record,
            made_by=_told(asker),
        )
        self._aside(lambda: self._answers.keep(name, asker, answer))

    def _give_up(self, name: AnswerName, asker: TurnKey) -> None:
        self._aside(lambda: self._answers.give_up(name, asker))

    def _aside(self, call: Callable[[], Any]) -> None:
        """Tell the store something for which the turn does not wait."""

        def tell() -> None:
            try:
                call()
            except NodeError as error:
                _log.info("hot_answers_unavailable", error=str(error))

        self._tasks.spawn("keep a hot answer", tell)


def _told(key: TurnKey) -> str:
    """Return how the audit record of one turn names another."""
    return f"{key.session.session_id}/{key.turn_id}"


def _key(turn: Answering) -> TurnKey:
    return turn.work.lease.key


def _counts(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
