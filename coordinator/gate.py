"""The publish gate: a build that answers its probe set worse than the generation before stays out.

It asks the very searcher of the pods, over files whose checksums were verified, so that what passes
here is what users get.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from coordinator.probes import Probe, ProbeSet
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.held import LostProbe
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.domain.lineage import probe_recalls
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.retrieval.generation import OpenGeneration
from kotaemon_node.retrieval.loading import GenerationLoader
from kotaemon_node.retrieval.opening import SearcherFactory
from kotaemon_node.retrieval.searcher import Searcher

_log = structlog.get_logger(__name__)

_TOP_K: Final = limits.TOP_K_DEFAULT  # as many as an answer is made of
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found. ``reason`` is None where the build may be published."""

    reason: str | None = None
    recall: float | None = None
    """Mean over the probes that were asked; None where none was."""
    recall_before: float | None = None
    """Of the same probes in the generation served; None where nothing is known of it."""
    lost: tuple[LostProbe, ...] = ()
    unanswerable: tuple[str, ...] = ()
    recalls: Mapping[str, float] = field(default_factory=dict)
    """Digest of probe to its recall in the build."""


class Gate:
    """Judges builds. Used by one thread."""

    def __init__(
        self,
        loader: GenerationLoader,
        searchers: SearcherFactory,
        *,
        clock: Clock,
        tolerance: float,
    ) -> None:
        """``tolerance``: by how much recall may fall, in [0, 1]."""
        self._loader = loader
        self._searchers = searchers
        self._clock = clock
        self._tolerance = tolerance

    def judge(
        self,
        build: Manifest,
        served: Manifest | None,
        probes: ProbeSet,
        *,
        in_folder: Collection[str],
        alive: Callable[[], None],
    ) -> Verdict:
        """Judge a build whose files are stored; ``in_folder`` are documents nobody deleted.

        Raises ``CorruptArtifact`` when the build cannot be opened, and what ``alive`` raises.
        """
        if probes.problem is not None:
            if served is None:
                # Nothing is served that could get worse, and pods wait for a first generation.
                _log.warning("probes_unusable", kb=build.kb, reason=probes.problem)
                return Verdict()
            return Verdict(reason=f"the probe set cannot be used: {probes.problem}")
        expected = {*in_folder, *(entry.document for entry in build.documents)}
        asked, unanswerable = _answerable(probes, expected)
        if not asked:
            return Verdict(unanswerable=unanswerable)
        recalls, before = self._ask(asked, build, served, alive)
        return self._verdict(asked, recalls, before, unanswerable)

    def _ask(
        self,
        probes: Mapping[Probe, frozenset[str]],
        build: Manifest,
        served: Manifest | None,
        alive: Callable[[], None],
    ) -> tuple[Mapping[Probe, float], Mapping[Probe, float]]:
        """Return the recall of each probe that was asked, in the build and before it."""
        deadline_s = self._clock.monotonic_s() + limits.GATE_TIMEOUT_S
        recorded = probe_recalls(served) if served is not None else {}
        recalls: dict[Probe, float] = {}
        before: dict[Probe, float] = {}
        with self._opened(build) as new, self._opened_if_possible(served) as old:
            for probe, documents in probes.items():
                alive()
                if self._clock.monotonic_s() >= deadline_s:
                    _log.warning(
                        "gate_out_of_time", kb=build.kb, asked=len(recalls), of=len(probes)
                    )
                    break
                recalls[probe] = _recall(new, probe, documents)
                if old is not None:
                    before[probe] = _recall(old, probe, documents)
                elif probe.digest in recorded:
                    before[probe] = recorded[probe.digest]
        return recalls, before

    def _verdict(
        self,
        probes: Mapping[Probe, frozenset[str]],
        recalls: Mapping[Probe, float],
        before: Mapping[Probe, float],
        unanswerable: tuple[str, ...],
    ) -> Verdict:
        common = [probe for probe in recalls if probe in before]
        recall_before = _mean([before[probe] for probe in common])
        comparable = _mean([recalls[probe] for probe in common])
        lost = [
            LostProbe(probe.question, tuple(sorted(probes[probe])), before[probe], recalls[probe])
            for probe in common
            if recalls[probe] < before[probe] - _ROUNDING
        ]
        reason = None
        if recall_before is not None and comparable is not None:
            fell = recall_before - comparable
            if fell > self._tolerance + _ROUNDING:
                reason = (
                    f"recall on {len(common)} probes falls from {recall_before:.3f} to "
                    f"{comparable:.3f}; {len(lost)} find less than before"
                )
        return Verdict(
            reason=reason,
            recall=_mean(list(recalls.values())),
            recall_before=recall_before,
            lost=tuple(lost[: limits.GATE_TOLD_MAX]) if reason else (),
            unanswerable=unanswerable[: limits.GATE_TOLD_MAX],
            recalls={probe.digest: recall for probe, recall in recalls.items()},
        )

    @contextmanager
    def _opened(self, manifest: Manifest) -> Iterator[Searcher]:
        generation = self._loader.open(manifest)
        try:
            yield self._searchers.make(generation)
        finally:
            generation.close()

    @contextmanager
    def _opened_if_possible(self, manifest: Manifest | None) -> Iterator[Searcher | None]:
        """Lend the generation before; None where it is broken or of another encoder."""
        if manifest is None:
            yield None
            return
        try:
            generation = self._loader.open(manifest)
        except NodeError as error:
            _log.warning("gate_compares_by_record", kb=manifest.kb, reason=str(error))
            yield None
            return
        try:
            yield self._searcher_if_possible(generation)
        finally:
            generation.close()

    def _searcher_if_possible(self, generation: OpenGeneration) -> Searcher | None:
        try:
            return self._searchers.make(generation)
        except NodeError as error:
            _log.warning("gate_compares_by_record", kb=generation.ref.kb, reason=str(error))
            return None


def _answerable(
    probes: ProbeSet, expected: Collection[str]
) -> tuple[Mapping[Probe, frozenset[str]], tuple[str, ...]]:
    """Return probe to the documents that it may still expect, and the questions without any."""
    answerable: dict[Probe, frozenset[str]] = {}
    unanswerable: list[str] = []
    for probe in probes.probes:
        documents = frozenset(probe.documents) & set(expected)
        if documents:
            answerable[probe] = documents
        else:
            unanswerable.append(probe.question)
    return answerable, tuple(unanswerable)


def _recall(searcher: Searcher, probe: Probe, documents: frozenset[str]) -> float:
    """Return the share of ``documents`` that the best passages come from."""
    hits = searcher.search(probe.question, top_k=_TOP_K).hits
    phrase = _plain(probe.phrase or "")
    found = {hit.passage.document for hit in hits if phrase in _plain(hit.passage.text)}
    return len(found & documents) / len(documents)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
