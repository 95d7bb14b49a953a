"""A run: data, knowledge base, questions one after the other, scores."""

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.engine.understanding.expanding import Expanding
from kotaemon_node.evaluation.asking import (
    Answered,
    Generate,
    by_model,
    extractive,
    retrieve,
    understand,
)
from kotaemon_node.evaluation.base import Base, Build, Built, Tell
from kotaemon_node.evaluation.experiment import EXTRACTIVE, Experiment
from kotaemon_node.evaluation.names import of_answers
from kotaemon_node.evaluation.opening import opened, written
from kotaemon_node.evaluation.results import results
from kotaemon_node.evaluation.scoring import Asked, closeness
from kotaemon_node.evaluation.sets.adapters import load
from kotaemon_node.evaluation.sets.cutting import sampled, without
from kotaemon_node.evaluation.sets.form import DataSet, Question
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.language_model import LanguageModel
from kotaemon_node.ports.runtime import Clock

T = TypeVar("T")

_RELEVANCE: Final = "answer_relevance_proxy"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run stands on."""

    build: Build
    encoder: Encoder
    """The one by which ``build`` encodes."""
    language_model: LanguageModel | None
    clock: Clock
    tell: Tell
    expander_model: LanguageModel | None = None
    """Which rewrites and drafts, where the experiment names one."""
    room: Path | None = None
    """A folder in which knowledge bases are kept for the next run; None: removed at the end."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run gave."""

    results: Mapping[str, Any]
    timings: Mapping[str, Any]


def run(experiment: Experiment, around: Surroundings) -> Ran:
    """Run an experiment. Raises ``ExperimentError``."""
    data = load(experiment.source)
    data = without(data, left_out=experiment.left_out, seed=experiment.seed)
    data = sampled(data, questions_max=experiment.questions_max, seed=experiment.seed)
    with ExitStack() as stack:
        began_s = around.clock.monotonic_s()
        built, names = _built(data, around, stack)
        build_s = around.clock.monotonic_s() - began_s
        base = stack.enter_context(opened(built, around.encoder, names))
        asking = _Asking(experiment, base, around)
        asked = asking.all(data.questions)
    knowledge = {
        "documents": len(names) or None,
        "passages": built.passages,
        "failed": [[names.get(document, document), reason] for document, reason in built.failed],
    }
    found = results(
        experiment,
        data,
        asked,
        encoder=around.encoder.name,
        generator=asking.generator,
        knowledge=knowledge,
        notes=_notes(experiment, around, asking.generator, asked, built),
    )
    return Ran(found, {"build_s": round(build_s, 3), **asking.timings()})


def _built(
    data: DataSet, around: Surroundings, stack: ExitStack
) -> tuple[Built, Mapping[str, str]]:
    """Write the documents and have them built, in a folder that is kept or one that is not."""
    if around.room is None or data.folder is not None:
        temporary = tempfile.TemporaryDirectory(prefix="kotaemon-eval-")
        room = Path(stack.enter_context(temporary))
    else:
        documents = replace(data, questions=())
        # Another encoder or other rules of ingest are the builder's to notice.
        room = around.room / f"{documents.digest[:16]}-{_safe(around.encoder.name)}"
    folder, names = written(data, room / "documents")
    return around.build(folder, room, around.tell), names


def _safe(name: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in name)[:80]


class _Asking:
    """Asks the questions of a run, and keeps the time."""

    def __init__(self, experiment: Experiment, base: Base, around: Surroundings) -> None:
        self._experiment = experiment
        self._base = base
        self._around = around
        self._generate, self.generator = _generator(experiment, around.language_model)
        model = around.expander_model
        adviser = None
        if model is not None:
            adviser = Adviser(model, clock=around.clock, tasks=ThreadTasks())
        self._expanding = Expanding(adviser)
        self._answers = any(map(of_answers, experiment.metrics))
        self._took_s: dict[str, list[float]] = {
            "understanding_s": [],
            "retrieval_s": [],
            "generation_s": [],
        }

    def all(self, questions: Sequence[Question]) -> list[Asked]:
        asked = []
        for number, question in enumerate(questions):
            self._around.tell("asking", number, len(questions))
            asked.append(self._ask(question))
        self._around.tell("asking", len(questions), len(questions))
        return asked

    def _ask(self, question: Question) -> Asked:
        experiment = self._experiment
        asked = self._timed(
            "understanding_s",
            lambda: understand(
                self._expanding, question, expander=experiment.expander, seed=experiment.seed
            ),
        )
        found = self._timed(
            "retrieval_s",
            lambda: retrieve(
                self._base, asked, retriever=experiment.retriever, top_k=experiment.top_k
            ),
        )
        names = [self._base.name_of(hit.passage.document) for hit in found.hits]
        relevant = tuple(name in question.gold for name in names)
        answer: Answered | None = None
        if self._answers:
            answer = self._timed(
                "generation_s", lambda: self._generate(self._base, question, asked, found.hits)
            )
        close = None
        if answer is not None and answer.known and _RELEVANCE in self._experiment.metrics:
            close = closeness(self._around.encoder, question.text, answer.text)
        elif answer is not None:
            close = 0.0
        changed = asked.search != question.text or asked.parts
        searched = (asked.search, *asked.parts) if changed else ()
        return Asked(question, found, relevant, answer, close, searched)

    def _timed(self, name: str, work: Callable[[], T]) -> T:
        began_s = self._around.clock.monotonic_s()
        result = work()
        self._took_s[name].append(self._around.clock.monotonic_s() - began_s)
        return result

    def timings(self) -> dict[str, Any]:
        """Return how long questions took; these figures are another machine's tomorrow."""
        return {
            name: {"mean": round(statistics.fmean(took), 6), "max": round(max(took), 6)}
            for name, took in self._took_s.items()
            if took
        }


def _generator(experiment: Experiment, model: LanguageModel | None) -> tuple[Generate, str]:
    if experiment.generator == EXTRACTIVE or model is None:
        return extractive, EXTRACTIVE
    return by_model(model), model.name


def _notes(
    experiment: Experiment,
    around: Surroundings,
    generator: str,
    asked: Sequence[Asked],
    built: Built,
) -> list[str]:
    """Say what a reader of the figures must know."""
    notes = []
    if generator != experiment.generator:
        notes.append(
            f"{experiment.generator} was asked for, but LLM_BASE_URL names no server: answers are"
            " extractive"
        )
    if around.expander_model is None and experiment.expander_model is not None:
        notes.append(
            f"{experiment.expander_model} was to expand questions, but LLM_BASE_URL names no"
            " server: rules did"
        )
    if around.expander_model is None and experiment.expander == "hyde":
        notes.append("hyde drafts passages with a language model, and there is none: as rewrite")
    if any(name.endswith("_proxy") for name in experiment.metrics):
        notes.append(
            "metrics named _proxy stand for those that a language model judges; see"
            " docs/how-to/evaluate.md"
        )
    degraded = sum(it.answer is not None and it.answer.degraded for it in asked)
    if degraded:
        notes.append(f"the language model failed on {degraded} questions: answered extractively")
    if built.failed:
        notes.append(f"{len(built.failed)} documents could not be read and are not found")
    return notes
