"""Makes searchers: a generation with its own encoder, tried before anybody may use it."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.ports.encoder import Encoder, is_elsewhere
from kotaemon_node.ports.runtime import Tasks
from kotaemon_node.retrieval.background import Background, background_of, everyday_background
from kotaemon_node.retrieval.batching import QuestionEncoder
from kotaemon_node.retrieval.generation import OpenGeneration
from kotaemon_node.retrieval.indexed import check_same_model, some_of_generation
from kotaemon_node.retrieval.searcher import Look, Searcher

_WARM_QUESTIONS: Final = 3
_WARM_QUESTION_CHARS: Final = 64


@dataclass(slots=True)
class _KnownEncoder:
    encoder: Encoder
    questions: QuestionEncoder
    everyday: Background
    agrees: bool = False
    """Whether it was tried on a generation."""


class SearcherFactory:
    """Makes searchers of generations; those of one encoder share its queue."""

    def __init__(
        self, encoder_for: Callable[[str], Encoder], *, tasks: Tasks, look: Look | None = None
    ) -> None:
        """``look``: as ``Searcher``."""
        self._encoder_for = encoder_for
        self._look = look
        self._tasks = tasks
        self._lock = Lock()
        self._encoders: dict[str, _KnownEncoder] = {}

    def make(self, generation: OpenGeneration) -> Searcher:
        """Return a searcher; ``CorruptArtifact`` where our encoder is not that of its build."""
        known = self._known(generation.manifest)
        return Searcher(
            generation,
            encode=known.questions.encode,
            compute=self._tasks.compute,
            # Reads passages from all over the files, which may have to come from the disk.
            background=self._tasks.compute(background_of, generation, known.everyday),
            look=self._look,
        )

    def warmed(self, generation: OpenGeneration) -> Searcher:
        """Return a searcher that has answered questions, so that the first user's find is warm.

        The questions are those that its own passages answer. Raises what a search raises: a
        generation that cannot be searched must not be served.
        """
        self._check_once(self._known(generation.manifest), generation)
        searcher = self.make(generation)
        for question in self._tasks.compute(_questions, generation):
            searcher.search(question)
        return searcher

    def _check_once(self, known: _KnownEncoder, generation: OpenGeneration) -> None:
        """Try an encoder elsewhere on the first generation: later ones must not wait for it."""
        if known.agrees or not is_elsewhere(known.encoder):
            return
        check_same_model(some_of_generation(generation), known.encoder)
        known.agrees = True

    def _known(self, manifest: Manifest) -> _KnownEncoder:
        with self._lock:
            known = self._encoders.get(manifest.encoder)
        if known is None:
            encoder = self._encoder_for(manifest.encoder)
            # One elsewhere waits on a socket, which belongs to tasks and not to native threads.
            run = _run_here if is_elsewhere(encoder) else self._tasks.compute
            known = _KnownEncoder(
                encoder, QuestionEncoder(encoder, compute=run), run(everyday_background, encoder)
            )
            with self._lock:
                known = self._encoders.setdefault(manifest.encoder, known)
        lacking = dict(manifest.spaces).items() - dict(known.encoder.spaces).items()
        if lacking:
            raise CorruptArtifact(f"its encoder has no space of {dict(lacking)}")
        return known


def _run_here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


def _questions(generation: OpenGeneration) -> list[str]:
    rows = generation.sample(_WARM_QUESTIONS)
    return [generation.passage(row).text[:_WARM_QUESTION_CHARS] for row in rows]
