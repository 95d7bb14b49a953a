"""Makes one backup: begun or taken up again, part by part, and its manifest last of all.

A backup that was killed left no manifest, so there is none; what it had copied is noted under
``unfinished/``, and the next one of the same kind goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from kotaemon_node.backup.audit import AuditCopying
from kotaemon_node.backup.format import (
    Backup,
    BackupRefused,
    FilesSum,
    Kind,
    Part,
    SessionsSum,
    backup_id,
    iso,
    manifest_name,
    seconds,
)
from kotaemon_node.backup.knowledge import KnowledgeCopying
from kotaemon_node.backup.plugins import PluginsCopying
from kotaemon_node.backup.sessions import SessionsCopying
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.backup.writing import Notes, Onto, Sole, Tell, Writer, unfinished
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock, IdSource

_log = structlog.get_logger(__name__)

_TAKEN_UP_S: Final = 86_400.0
"""An older one is begun anew: its sessions would be of yesterday."""


@dataclass(frozen=True, slots=True)
class Source:
    """The cluster that is backed up."""

    sessions: SessionsCopying
    knowledge: KnowledgeCopying
    product: str
    cluster: str
    tenant: str
    plugins: PluginsCopying | None = None
    audit: AuditCopying | None = None
    copy_keys: Callable[[ArtifactStore], None] = lambda _: None
    """Copies the wrapped data keys, and what was destroyed, to a destination."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the first note of a backup says."""

    id: str
    kind: Kind
    parent: str | None
    what: tuple[Part, ...]
    began_at: str


class Making:
    """Makes backups of ``source`` at the destination ``store``."""

    def __init__(
        self, source: Source, store: ArtifactStore, *, clock: Clock, ids: IdSource
    ) -> None:
        self._source = source
        self._store = store
        self._shelf = Shelf(store)
        self._clock = clock
        self._ids = ids

    def run(self, *, kind: Kind | None, what: Sequence[Part], tell: Tell, lease_s: float) -> Backup:
        """Make a backup, or end one that was interrupted; ``kind`` None: incremental if possible.

        Raises ``BackupRefused`` for what cannot be done, ``Unavailable`` or ``OSError`` where a
        store is away: then the same call goes on from where it was.
        """
        holder = f"backup-{self._ids.new_id()[:8]}"
        sole = Sole(self._store, holder=holder, clock=self._clock, lease_s=lease_s)
        with sole.held():
            begun = self._begin(kind, tuple(what))
            return self._make(begun, sole, tell)

    def _begin(self, kind: Kind | None, what: tuple[Part, ...]) -> _Begun:
        cluster = self._source.cluster
        parent = None if kind == "full" else self._shelf.newest(what, cluster=cluster)
        if kind == "incremental" and parent is None:
            raise BackupRefused(
                f"There is no backup of {' and '.join(what)} of the cluster {cluster} here to go"
                " on from: make a full one first, with --full."
            )
        found = self._interrupted(kind, what, parent)
        if found is not None:
            _log.info("backup_taken_up", backup=found.id)
            return found
        now_s = self._clock.now_s()
        if parent is not None:  # the newest is known by its id, also where clocks go back
            now_s = max(now_s, seconds(parent.began_at) + 0.002)
        begun = _Begun(
            id=backup_id(now_s, self._ids.new_id()),
            kind="full" if parent is None else "incremental",
            parent=parent.id if parent else None,
            what=what,
            began_at=iso(now_s),
        )
        said = {at: getattr(begun, at) for at in begun.__slots__}
        Notes(self._store, begun.id).write("begun", said)
        return begun

    def _interrupted(
        self, kind: Kind | None, what: tuple[Part, ...], parent: Backup | None
    ) -> _Begun | None:
        """Return a backup to go on with, and forget the others."""
        found: _Begun | None = None
        for backup in unfinished(self._store):
            notes = Notes(self._store, backup)
            begun = _begun(notes)
            fits = (
                begun is not None
                and self._store.get(manifest_name(backup)) is None
                and begun.what == what
                and begun.kind == (kind or begun.kind)
                and begun.parent in (None, parent.id if parent else None)
                and seconds(begun.began_at) > self._clock.now_s() - _TAKEN_UP_S
            )
            if fits:
                found = begun
            else:
                notes.remove()
        return found

    def _make(self, begun: _Begun, sole: Sole, tell: Tell) -> Backup:
        notes = Notes(self._store, begun.id)
        parent = self._shelf.backup(begun.parent) if begun.parent else None
        writer = Writer(self._store, trusts=begun.kind == "incremental")
        source, onto = self._source, Onto(writer, notes, parent, self._shelf, tell)
        artifacts: FilesSum | None = None
        documents: FilesSum | None = None
        sessions: SessionsSum | None = None
        audit: FilesSum | None = None
        plugins: tuple[str, ...] = ()
        if "knowledge" in begun.what:
            if source.plugins is not None:
                plugins = source.plugins.run(writer, tell)
            artifacts = source.knowledge.artifacts(onto)
            documents = source.knowledge.documents(onto)
        if "sessions" in begun.what:
            sessions = source.sessions.run(onto)
            audit = source.audit.run(onto) if source.audit is not None else None
            # Behind them: whatever sealed what was copied has its key there.
            source.copy_keys(self._store)
        made = Backup(
            id=begun.id,
            kind=begun.kind,
            parent=begun.parent,
            product=source.product,
            cluster=source.cluster,
            tenant=source.tenant,
            began_at=begun.began_at,
            ended_at=iso(self._clock.now_s()),
            written_bytes=writer.written_bytes,
            sessions=sessions,
            artifacts=artifacts,
            documents=documents,
            plugins=plugins,
            audit=audit,
        )
        sole.require()
        self._store.put_if_absent(manifest_name(made.id), made.to_json())
        notes.remove()
        return made


def _begun(notes: Notes) -> _Begun | None:
    said = notes.read("begun")
    try:
        return _Begun(**{**said, "what": tuple(said["what"])}) if said else None
    except (LookupError, TypeError):
        return None
