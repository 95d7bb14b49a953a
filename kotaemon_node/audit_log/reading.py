"""Reads a log for people: the newest first by pages, or all of it in order. It proves nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kotaemon_node.audit_log.volumes import unpacked
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit_chain import Entry, read_line
from kotaemon_node.domain.audit_names import audit_prefix, volume_numbers
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditStore

Place = tuple[int, int]
"""Chain and number of an entry."""
_PAGE = 500
_NOWHERE: Place = (0, 0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are wanted; "" where all are. Times as entries have them."""

    action: str = ""
    """An action, or the thing of several: ``key`` for ``key.created`` and ``key.revoked``."""
    outcome: str = ""
    subject: str = ""
    target: str = ""
    credential: str = ""
    since: str = ""
    until: str = ""

    def fits(self, entry: Entry) -> bool:
        """Tell whether the entry is one of them."""
        event = entry.event
        named = not self.action or event.action == self.action
        return (
            (named or event.action.startswith(f"{self.action}."))
            and self.outcome in {"", event.outcome}
            and self.subject in {"", event.subject}
            and self.target in {"", event.target}
            and self.credential in {"", event.credential}
            and entry.at >= self.since
            and (not self.until or entry.at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, the newest first."""

    entries: Sequence[Entry]
    next: Place | None
    """Where the next page begins; None: there are no older ones. A page may be short, or empty,
    and not the last: so many entries are looked at for one."""


class AuditReader:
    """Reads the logs of all tenants; callers judge who may."""

    def __init__(
        self,
        store: AuditStore,
        artifacts: ArtifactStore,
        *,
        native: Callable[..., Any] = lambda work, *arguments: work(*arguments),
    ) -> None:
        """``native`` runs what reads a disk."""
        self._store = store
        self._artifacts = artifacts
        self._native = native

    def page(self, tenant: str, *, before: Place | None, limit: int, wanted: Wanted) -> Page:
        """Return the newest entries before a place. ``Unavailable`` where a store is away."""
        found: list[Entry] = []
        for looked, entry in enumerate(self._descending(tenant, before), start=1):
            if wanted.fits(entry):
                found.append(entry)
            over = bool(wanted.since) and entry.at < wanted.since
            if over:
                return Page(found, None)
            if len(found) == limit or looked == limits.AUDIT_SCANNED_MAX:
                return Page(found, (entry.chain, entry.seq))
        return Page(found, None)

    def tenants(self) -> Sequence[str]:
        """Return whose logs there are."""
        return sorted(self._store.tenants())

    def ascending(self, tenant: str) -> Iterator[bytes]:
        """Yield all lines in their order, each once: volumes, then what is in the session store."""
        place: Place = (0, 0)
        for name, numbers in self._volumes(tenant):
            for line in self._lines(name):
                at = _place_of(line, place, numbers)
                if at > place:
                    place = at
                    yield line
        while rows := self._store.oldest(tenant, behind=place, limit=_PAGE):
            for row in rows:
                place = (row.chain, row.seq)
                yield row.line

    def _descending(self, tenant: str, before: Place | None) -> Iterator[Entry]:
        place = before
        while rows := self._store.newest(tenant, before=place, limit=_PAGE):
            for row in rows:
                place = (row.chain, row.seq)
                yield from _read(row.line)
        for name, numbers in reversed(self._volumes(tenant)):
            if place is not None and numbers[:2] >= place:
                continue
            for line in reversed(self._lines(name)):
                at = _place_of(line, _NOWHERE, numbers)
                if at == _NOWHERE:
                    continue
                if place is None or at < place:
                    place = at
                    yield from _read(line)

    def _volumes(self, tenant: str) -> Sequence[tuple[str, tuple[int, int, int]]]:
        names: Sequence[str] = self._native(
            lambda: list(self._artifacts.list(audit_prefix(tenant)))
        )
        numbered = [(name, volume_numbers(name)) for name in names]
        return sorted(
            ((name, numbers) for name, numbers in numbered if numbers), key=lambda row: row[1]
        )

    def _lines(self, name: str) -> Sequence[bytes]:
        content = self._native(self._artifacts.get, name)
        try:
            # One that was removed this moment was too old; one that is broken the verifier names.
            return unpacked(content) if content is not None else []
        except CorruptArtifact:
            return []


def _read(line: bytes) -> Iterator[Entry]:
    try:
        yield read_line(line)
    except ValueError:
        return  # the verifier names it


def _place_of(line: bytes, otherwise: Place, numbers: tuple[int, int, int]) -> Place:
    """Return where a line of a volume stands; ``otherwise``, where it says nothing that can be.

    One that says that it stands elsewhere would hide what lies between.
    """
    try:
        entry = read_line(line)
    except ValueError:
        return otherwise
    chain, first, last = numbers
    inside = entry.chain == chain and first <= entry.seq <= last
    return (entry.chain, entry.seq) if inside else otherwise
