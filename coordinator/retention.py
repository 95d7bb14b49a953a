"""What of the old generations is kept, and the removal of the rest.

| what      | kept while                                                                          |
|-----------|-------------------------------------------------------------------------------------|
| manifests | among the newest GENERATIONS_KEPT, or replaced less than a session's life ago (a    |
|           | citation is opened through its manifest), MANIFESTS_KEPT_MAX at most                |
| segments  | named by one of the newest GENERATIONS_KEPT manifests or by one that was replaced   |
|           | less than ARTIFACT_GRACE_S ago (a running turn may read it)                         |
| texts     | named by a manifest that is kept                                                    |

What a purge left of a manifest is kept as long as the manifest would have been, without segments.
A rolled back generation names the segments of an older one, and so keeps them. Builds that the gate
held have no manifest: their files go as those of any dead build.

Segments and texts that no manifest names may belong to a generation that is just being published:
they go only after ``ARTIFACT_GRACE_S`` of being seen so by this process while it leads.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import structlog

from coordinator.catalog import Catalog
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import (
    knowledge_base_prefix,
    manifest_name,
    redacted_prefix,
)
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Keeping:
    """The generations whose manifests are kept, and those whose segments are kept as well."""

    manifests: frozenset[int]
    segments: frozenset[int]


def kept_generations(replaced_s_ago: Mapping[int, float], *, session_life_s: float) -> Keeping:
    """Decide by number and by how long ago each generation was replaced (0 for the newest)."""
    newest_first = sorted(replaced_s_ago, reverse=True)
    newest = frozenset(newest_first[: limits.GENERATIONS_KEPT])
    recent = frozenset(newest_first[: limits.MANIFESTS_KEPT_MAX])

    def younger(age_s: float) -> frozenset[int]:
        return frozenset(number for number in recent if replaced_s_ago[number] < age_s)

    segments = newest | younger(limits.ARTIFACT_GRACE_S)
    return Keeping(manifests=segments | younger(session_life_s), segments=segments)


@dataclass(frozen=True, slots=True)
class _Names:
    """What a manifest names."""

    created_at_s: float
    segments: frozenset[str]
    redacted: bool = False
    """A purge left it."""


class Retention:
    """Removes what is no longer kept. Used by one thread, and only by the leader."""

    def __init__(
        self,
        *,
        store: ArtifactStore,
        catalog: Catalog,
        clock: Clock,
        tenant: str,
        session_life_s: float,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._tenant = tenant
        self._session_life_s = session_life_s
        # Manifests never change, so each is read once.
        self._names: dict[str, dict[int, _Names]] = {}
        # Text to the newest generation that was seen to name it. A set for each generation would be
        # as long as the knowledge base, and generations go from the oldest on.
        self._texts: dict[str, dict[str, int]] = {}
        self._unnamed_since_s: dict[str, float] = {}

    def begin(self) -> None:
        """Forget what was seen: since we led last, others may have built what we saw unnamed."""
        self._names.clear()
        self._texts.clear()
        self._unnamed_since_s.clear()

    def sweep(self, kb: str, *, spared: Collection[str] = ()) -> int:
        """Remove what is no longer kept of ``kb``; return how many files were removed.

        ``spared`` names segments that are being stored, however long that takes.
        """
        names = self._names_of(kb)
        keeping = kept_generations(self._replaced_s_ago(names), session_life_s=self._session_life_s)
        doomed: list[str] = []
        for number in names.keys() - keeping.manifests:
            doomed.append(manifest_name(self._tenant, kb, number))
            doomed += self._store.list(redacted_prefix(self._tenant, kb, number))
            del names[number]
        doomed += self._unnamed_for_long(
            f"{knowledge_base_prefix(self._tenant, kb)}segments/",
            named={it for number in keeping.segments for it in names[number].segments}.union(
                spared
            ),
        )
        doomed += self._unnamed_for_long(
            f"{knowledge_base_prefix(self._tenant, kb)}texts/",
            named=[f"{it}.txt" for it in self._named_texts(kb, oldest=min(names, default=0))],
        )
        # Manifests come first in the list: what goes is first forgotten, then removed.
        for name in doomed:
            self._store.delete(name)
        if doomed:
            _log.info("artifacts_removed", kb=kb, files=len(doomed))
        return len(doomed)

    def _names_of(self, kb: str) -> dict[int, _Names]:
        numbers = frozenset(self._catalog.numbers(kb))
        redacted = frozenset(self._catalog.redacted(kb)) - numbers
        known = self._names.setdefault(kb, {})
        for number in list(known):
            if number not in numbers and known[number].redacted != (number in redacted):
                del known[number]
        for number in sorted((numbers | redacted) - known.keys()):
            read = self._catalog.cited if number in redacted else self._catalog.manifest
            manifest = read(kb, number)
            known[number] = _names(manifest, redacted=number in redacted)
            texts = self._texts.setdefault(kb, {})
            for entry in manifest.documents if manifest else ():
                if entry.text is not None:
                    texts[entry.text] = max(number, texts.get(entry.text, 0))
        return known

    def _named_texts(self, kb: str, *, oldest: int) -> Collection[str]:
        """Return the texts that a generation from ``oldest`` on names, and forget the others."""
        texts = self._texts.get(kb, {})
        for gone in [text for text, newest in texts.items() if newest < oldest]:
            del texts[gone]
        return texts.keys()

    def _replaced_s_ago(self, names: Mapping[int, _Names]) -> Mapping[int, float]:
        # The wall clock decides only how long the past is kept; a jump makes it longer or shorter.
        now_s = self._clock.now_s()
        numbers = sorted(names)
        ages = {
            number: now_s - names[following].created_at_s for number, following in pairwise(numbers)
        }
        return {**ages, **{number: 0.0 for number in numbers[-1:]}}

    def _unnamed_for_long(self, prefix: str, *, named: Iterable[str]) -> Sequence[str]:
        """Return the files below ``prefix`` whose first step was not in ``named`` for the grace."""
        now_s = self._clock.monotonic_s()
        kept = frozenset(named)
        result: list[str] = []
        present: set[str] = set()
        for name in self._store.list(prefix):
            if name.removeprefix(prefix).partition("/")[0] in kept:
                continue
            present.add(name)
            since_s = self._unnamed_since_s.setdefault(name, now_s)
            if now_s - since_s >= limits.ARTIFACT_GRACE_S:
                result.append(name)
        for name in [it for it in self._unnamed_since_s if it.startswith(prefix)]:
            if name not in present or name in result:
                del self._unnamed_since_s[name]
        return result


def _names(manifest: Manifest | None, *, redacted: bool) -> _Names:
    if manifest is None:
        return _Names(0.0, frozenset(), redacted)
    return _Names(
        created_at_s=datetime.fromisoformat(manifest.created_at).timestamp(),
        segments=frozenset(entry.name for entry in manifest.segments),
        redacted=redacted,
    )
