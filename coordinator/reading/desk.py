"""Collects documents that are being read, and does not let the others wait for one that is slow."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Final

import structlog

from coordinator.folder import FileState
from coordinator.ingest import Ingested, refused
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.reader import Begun, Reader
from kotaemon_node.domain import limits
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.traces import spanned

_log = structlog.get_logger(__name__)

_TICK_S: Final = 0.1
# For what an earlier call has waited for already: there may be work in other knowledge bases.
_PATIENCE_AGAIN_S: Final = 0.25
# Writing a passage whose vectors are there costs about this part of one that is to be encoded.
_ENCODED_COST: Final = 1 / 8

_Name = tuple[str, str]
"""Document and revision."""


@dataclass(slots=True)
class _Gathering:
    """One generation's documents, as they come."""

    left: dict[_Name, FileState]
    """Files that are not read yet, in the order in which they are to be."""
    ingested: list[Ingested] = field(default_factory=list)
    cost: float = 0.0
    """In passages to be encoded."""

    def add(self, it: Ingested) -> None:
        self.ingested.append(it)
        self.cost += len(it.passages) * (1.0 if it.vectors is None else _ENCODED_COST)


class Desk:
    """Has documents read. Used by one thread.

    A reading that was not waited for goes on and is found by the next call for its knowledge base.
    """

    def __init__(self, reader: Reader, *, metrics: CoordinatorMetrics, clock: Clock) -> None:
        self._reader = reader
        self._metrics = metrics
        self._clock = clock
        self._begun: dict[str, dict[_Name, Begun]] = {}
        self._nothing_since_s: dict[str, float] = {}
        """Knowledge bases of whose first documents nothing has come."""

    @spanned("read")
    def gather(
        self,
        kb: str,
        states: Sequence[FileState],
        *,
        whole: bool,
        passages_max: int,
        proceed: Callable[[int, int], None],
        first: bool = False,
    ) -> tuple[Sequence[Ingested], Sequence[FileState]]:
        """Return documents of ``states`` and the files that are left for the next generation.

        It is enough when there are ``passages_max`` passages, or when nothing has come for
        ``READING_PATIENCE_S``, or longer where it is the ``first`` generation; with ``whole`` no
        file is left. Files that changed are in neither. ``proceed`` is called often, with how many
        of how many are read, and raises to stop. Raises what a reading raises.
        """
        enough = inf if whole else passages_max
        patience_s = limits.READING_FIRST_PATIENCE_S if first else limits.READING_PATIENCE_S
        got = _Gathering({(it.document, it.revision): it for it in states})
        self._forget(kb, got.left)
        last_s, bound_s = self._clock.monotonic_s(), _PATIENCE_AGAIN_S
        while got.left:
            proceed(len(states) - len(got.left), len(states))
            if self._begin(kb, got) + self._take(kb, got, enough) or self._reader.starting:
                last_s, bound_s = self._clock.monotonic_s(), patience_s
            late = self._clock.monotonic_s() - last_s > bound_s
            if got.cost >= enough or (late and not whole):
                break
            waited_for = list(self._begun[kb].values())
            if waited_for and not any(begun.done() for begun in waited_for):
                wait(waited_for, timeout=_TICK_S, return_when=FIRST_COMPLETED)
        if first and got.left and not got.ingested:
            self._nothing_since_s.setdefault(kb, self._clock.monotonic_s())
        else:
            self._nothing_since_s.pop(kb, None)
        return got.ingested, list(got.left.values())

    def hopes(self, kb: str) -> bool:
        """Tell whether nothing came yet of the first documents of ``kb``, but may come soon."""
        since_s = self._nothing_since_s.get(kb)
        return since_s is not None and (
            self._clock.monotonic_s() - since_s <= limits.READING_EMPTY_S
        )

    def published(self, kb: str, ingested: Collection[Ingested]) -> None:
        """See ``Reader``."""
        self._reader.published(kb, ingested)

    def idle(self, kb: str) -> None:
        """Note that ``kb`` is up to date."""
        self._forget(kb, {})
        self._reader.idle(kb)

    def _forget(self, kb: str, wanted: Collection[_Name]) -> None:
        """Let go of what was begun and is not wanted any more."""
        begun = self._begun.setdefault(kb, {})
        for name in begun.keys() - set(wanted):
            self._reader.drop(begun.pop(name))

    def _begin(self, kb: str, got: _Gathering) -> int:
        """Begin what there is room for; return how many."""
        begun = self._begun[kb]
        room = self._reader.room - len(begun)
        names = (name for name, it in got.left.items() if name not in begun and it.problem is None)
        new = list(islice(names, max(room, 0)))
        for name in new:
            begun[name] = self._reader.begin(kb, got.left[name])
        return len(new)

    def _take(self, kb: str, got: _Gathering, enough: float) -> int:
        """Move what has been read from ``got.left``; return how many."""
        begun = self._begun[kb]
        ready = [
            name
            for name, state in got.left.items()
            if state.problem is not None or (name in begun and begun[name].done())
        ]
        for name in ready:
            if got.cost >= enough:
                break
            state = got.left.pop(name)
            self._note(got, state, begun.pop(name, None))
        return len(ready)

    def _note(self, got: _Gathering, state: FileState, begun: Begun | None) -> None:
        if begun is None:
            problem = state.problem or ""
            it = refused(state.document, "", file_bytes=state.size_bytes, reason=problem)
        else:
            found = begun.result()
            if found is None:
                return
            it = found
        if it.reason is not None:
            _log.warning("document_refused", document=it.document, reason=it.reason)
        self._metrics.document_read(refused=it.reason is not None)
        got.add(it)
