"""The recogniser of examples: what was said like this before meant that.

It learns beside the turns, whenever its examples change; a message waits for that a while, then the
classifier before answers. Vectors are kept, so that a plugin more costs its own examples only.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import structlog

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.intent_book import OUTSIDE, IntentBook
from kotaemon_node.engine.intents.features import Features, Vectors, unnumbered
from kotaemon_node.engine.intents.learning import Classifier, Floats, learned
from kotaemon_node.engine.intents.strangers import USUAL_STRANGERS
from kotaemon_node.ports.encoder import Encoder, is_elsewhere
from kotaemon_node.ports.intents import NOTHING, IntentContext, Recognition
from kotaemon_node.ports.runtime import Clock, StopSignal, Tasks

_log = structlog.get_logger(__name__)

_BATCH: Final = 32
"""Texts that are encoded in one go: turns wait for a thread no longer than that."""

_KINDS_MAX: Final = 4
"""Two plugins in roll-out make four; another set of examples is learned anew."""

Examples = tuple[tuple[str, str], ...]
"""(intent, utterance), in order; each utterance once."""


class EncodesQuestion(Protocol):
    """Encodes one question, with others that come meanwhile."""

    def encode(self, question: str) -> Vectors:
        """Return its vectors by space."""
        ...


@dataclass(slots=True)
class _Kind:
    """What one set of plugins is recognised by; sessions of a roll-out may have another."""

    of_plugins: Mapping[str, Sequence[str]]
    examples: Examples
    classifier: Classifier | None = None
    learning: bool = False
    again_s: float = 0.0
    """When it is tried again, after it failed."""
    ready: threading.Event = field(default_factory=threading.Event)


class ExampleRecogniser:
    """``ports.intents.Recogniser`` by a classifier of vectors and letters. Thread safe."""

    def __init__(
        self,
        book: IntentBook,
        encoder: Encoder,
        question: EncodesQuestion,
        *,
        clock: Clock,
        tasks: Tasks,
        kept: float = limits.INTENT_KEPT,
        wait_s: float = limits.INTENT_LEARNING_WAIT_S,
    ) -> None:
        """``kept``: share of what is recognised rightly that is to stay recognised.

        ``wait_s``: how long a message waits for what is being learned.
        """
        self._own = _own(book)
        self._encoder = encoder
        self._question = question
        self._features = Features(encoder.spaces)
        self._clock = clock
        self._tasks = tasks
        self._kept, self._wait_s = kept, wait_s
        self._lock = threading.Lock()
        self._kinds: list[_Kind] = []
        """The last used last."""
        self._vectors: dict[str, Vectors] = {}

    def prepare(self, examples: Mapping[str, Sequence[str]]) -> None:
        """Begin to learn these examples of plugins, besides those of the book."""
        self._kind(examples)

    def recognise(self, text: str, *, context: IntentContext, stop: StopSignal) -> Recognition:
        """See the port."""
        kind = self._kind(context.examples)
        if not kind.examples:
            return NOTHING
        if kind.classifier is None and kind.learning:
            self._clock.wait(kind.ready, self._wait_s)
        usable = [it for it in (*self._kinds, kind) if it.classifier is not None]
        if not usable:
            return NOTHING
        known = kind.classifier or usable[-1].classifier
        assert known is not None
        text = unnumbered(text)
        try:
            vectors = self._question.encode(text)
        except NodeError as error:
            _log.info("examples_not_compared", reason=str(error))
            return NOTHING
        return self._said(known, kind, self._features.row(text, vectors), context)

    def _said(
        self, known: Classifier, kind: _Kind, row: Floats, context: IntentContext
    ) -> Recognition:
        found = known.said(row, _allowed(known, kind, context))
        candidates = tuple(it for it in found if it[0] != OUTSIDE)
        if not found or found[0][0] == OUTSIDE:
            return Recognition(None, 0.0, by="examples", candidates=candidates)
        name, confidence = found[0]
        return Recognition(name, confidence, by="examples", candidates=candidates)

    def _kind(self, of_plugins: Mapping[str, Sequence[str]]) -> _Kind:
        """Return the kind of these examples; begin to learn what is not learned."""
        with self._lock:
            kind = next((it for it in self._kinds if it.of_plugins == of_plugins), None)
            if kind is None:
                kind = _Kind(dict(of_plugins), _all(self._own, of_plugins))
                self._kinds = [*self._kinds, kind][-_KINDS_MAX:]
            due = (
                kind.classifier is None
                and not kind.learning
                and bool(kind.examples)
                and self._clock.monotonic_s() >= kind.again_s
            )
            kind.learning = kind.learning or due
        if due:
            self._tasks.spawn("learning intents", partial(self._learn, kind))
        return kind

    def _learn(self, kind: _Kind) -> None:
        began_s = self._clock.monotonic_s()
        try:
            told = {text for _, text in kind.examples}
            vectors = self._encoded([*told, *USUAL_STRANGERS])
            kind.classifier = self._tasks.compute(
                _classifier, kind.examples, vectors, self._features, self._kept
            )
        except NodeError as error:
            kind.again_s = self._clock.monotonic_s() + limits.INTENT_LEARNING_AGAIN_S
            _log.warning("intents_not_learned", reason=str(error))
            return
        finally:
            kind.learning = False
        told = {text for it in self._kinds for _, text in it.examples} | {*USUAL_STRANGERS}
        self._vectors = {text: vectors[text] for text in told & vectors.keys()}
        kind.ready.set()
        took_s = round(self._clock.monotonic_s() - began_s, 3)
        _log.info("intents_learned", examples=len(kind.examples), took_s=took_s)

    def _encoded(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        known = dict(self._vectors)
        run: Callable[..., Any] = self._tasks.compute
        if is_elsewhere(self._encoder):
            run = _here  # it waits, and computes nothing
        new = sorted({text for text in texts if text not in known}, key=len)
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            found: list[dict[str, Any]] = [{} for _ in batch]
            for space, rows in run(self._encoder.encode_queries, batch).items():
                for position, vector in zip(rows.positions.tolist(), rows.vectors, strict=True):
                    found[position][space] = vector
            known.update(zip(batch, found, strict=True))
        return known


def _allowed(known: Classifier, kind: _Kind, context: IntentContext) -> Sequence[int] | None:
    """Return the numbers of the intents that count; None: all.

    What has no intent stays a choice, whichever intents are allowed.
    """
    if context.allowed is None and known is kind.classifier:
        return None
    offered = {name for name, _ in kind.examples}
    return [
        number
        for number, name in enumerate(known.names)
        if name == OUTSIDE or (name in offered and context.allows(name))
    ]


def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


def _classifier(
    wanted: Examples, vectors: Mapping[str, Vectors], features: Features, kept: float
) -> Classifier:
    rows = np.stack([features.row(text, vectors[text]) for _, text in wanted])
    said = {text for _, text in wanted}
    strange = [features.row(it, vectors[it]) for it in USUAL_STRANGERS if it not in said]
    names = [name for name, _ in wanted]
    return learned(rows, names, features, kept=kept, strangers=np.stack(strange))


def _own(book: IntentBook) -> Examples:
    told = [(rule.name, text) for rule in book.intents for text in rule.examples]
    return (*told, *((OUTSIDE, text) for text in book.outside))


def _all(own: Examples, more: Mapping[str, Sequence[str]]) -> Examples:
    """Return all examples, each utterance once: of two intents that have it, the first keeps it."""
    told = (*own, *((name, text) for name in sorted(more) for text in more[name]))
    once: dict[str, str] = {}
    for name, text in ((name, unnumbered(text)) for name, text in told):
        if text.strip():
            once.setdefault(text, name)
    kept = list(once.items())[: limits.INTENT_EXAMPLES_MAX]
    return tuple((name, text) for text, name in kept)
