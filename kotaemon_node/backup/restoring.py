"""Brings a backup back, into an empty cluster or one that runs: what is there is never replaced.

Law 1: a session comes back only where there is none: neither in Redis, nor in the archive, nor one
       that was deleted after it was copied.
Law 2: it comes back under a new epoch, unless the caller knows that nothing was written since: who
       names the epoch that he knew is told ``gone`` once, reads what is left, and goes on.
Law 3: manifests come last, behind all that they name; and the next generation gets a number above
       every one that is known to have been published.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from kotaemon_node.backup.format import Backup, FileRow, SessionRow
from kotaemon_node.backup.knowledge import artifacts_prefix, kb_of, step_of
from kotaemon_node.backup.listing import Before
from kotaemon_node.backup.sessions import copies, shards
from kotaemon_node.backup.shelf import Shelf, checksum
from kotaemon_node.backup.writing import Tell
from kotaemon_node.domain.artifact_names import session_copies_prefix
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import CopyName, SessionCopy
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.backup import WholeSessions

_log = structlog.get_logger(__name__)

_BATCH: Final = 100
_SLASHES_MIN: Final = 5  # tenants/<tenant>/kb/<kb>/<kind>/<name>


@dataclass(slots=True)
class Restored:
    """What became of one part. ``floors``: knowledge base to the newest generation heard of."""

    restored: int = 0
    there: int = 0
    """Not touched: the cluster has it, or has something newer under its name."""
    ended: int = 0
    """Sessions that were deleted, or whose loss was told, since they were copied."""
    differs: list[str] = field(default_factory=list)
    """Names that the cluster has with another content, which stays; some of them."""
    damaged: list[str] = field(default_factory=list)
    """What the backup lacks; some of it."""
    floors: dict[str, int] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    """Knowledge bases of which a generation gave way to the backup's of the same number."""

    def note(self, where: list[str], what: str) -> None:
        """Note a name, within bounds."""
        if len(where) < _BATCH:
            where.append(what)


class SessionsRestoring:
    """Puts sessions back."""

    def __init__(
        self,
        shelf: Shelf,
        target: WholeSessions,
        archive: ArtifactStore,
        *,
        new_epoch: Callable[[], str] | None,
        tell: Tell,
    ) -> None:
        """``new_epoch`` None: sessions keep theirs: nothing was written since the backup."""
        self._shelf = shelf
        self._target = target
        self._archive = archive
        self._new_epoch = new_epoch
        self._tell = tell

    def run(self, backup: Backup) -> Restored:
        """Restore all; what is damaged is told and the others come back."""
        done = Restored()
        self._access(backup, done)
        for rows in shards(self._shelf, backup.sessions):
            if any(row.tenant != backup.tenant for row in rows):
                raise CorruptArtifact(f"{backup.id} has sessions of another tenant than its own")
            for row, copy in self._readable(rows, done):
                self._one(row, copy, done)
                self._tell("sessions", 1)
        return done

    def _access(self, backup: Backup, done: Restored) -> None:
        """Bring back what sessions are asked for with, so that their ids are known again."""
        if backup.sessions is None or not backup.sessions.access:
            return
        is_empty = next(iter(self._target.keys()), None) is None
        try:
            access = self._shelf.content(backup.sessions.access)
        except CorruptArtifact as error:
            done.note(done.damaged, f"API keys: {error}")
            return
        for what in self._target.put_access(access, is_empty=is_empty):
            done.note(done.differs, what)

    def look(self, backup: Backup) -> Restored:
        """Say what ``run`` would do, and change nothing."""
        done = Restored()
        for rows in shards(self._shelf, backup.sessions):
            for row in rows:
                if self._target.known(SessionKey(row.tenant, row.session_id)):
                    done.there += 1
                else:
                    done.restored += 1
                self._tell("sessions", 1)
        return done

    def _readable(
        self, rows: Sequence[SessionRow], done: Restored
    ) -> Iterator[tuple[SessionRow, SessionCopy]]:
        """Yield those whose packs are whole; rows of one pack stand together."""
        at = 0
        while at < len(rows):
            end = at
            while end < len(rows) and rows[end].pack == rows[at].pack:
                end += 1
            try:
                yield from copies(self._shelf, rows[at:end])
            except CorruptArtifact as error:
                done.note(done.damaged, f"{end - at} sessions: {error}")
                _log.error("backup_pack_damaged", pack=rows[at].pack, reason=str(error))
            at = end

    def _one(self, row: SessionRow, copy: SessionCopy, done: Restored) -> None:
        outcome = self._at_rest(copy) if row.archived else self._alive(copy)
        match outcome:
            case "ok":
                done.restored += 1
            case "there":
                done.there += 1
            case _:
                done.ended += 1
        for kb, generation in _generations(copy).items():
            done.floors[kb] = max(done.floors.get(kb, 0), generation)

    def _alive(self, copy: SessionCopy) -> str:
        if not self._target.known(copy.key) and self._archived_newer(copy):
            # The store forgot it, and the archive has it: from there it comes back by itself.
            return "there"
        return self._target.put_back(copy, epoch=self._epoch(copy))

    def _archived_newer(self, copy: SessionCopy) -> bool:
        prefix = session_copies_prefix(copy.key.tenant, copy.key.session_id)
        names = map(CopyName.read, self._archive.list(prefix))
        return any(name is not None and name >= copy.name for name in names)

    def _at_rest(self, copy: SessionCopy) -> str:
        if self._target.known(copy.key) or self._archived_newer(copy):
            return "there"
        copy = replace(copy, meta={**copy.meta, "epoch": self._epoch(copy)})
        name = copy.name.of(copy.key)
        self._archive.put_if_absent(name, copy.packed())
        outcome = self._target.put_mark(copy)
        if outcome != "ok":
            self._archive.delete(name)
        return outcome

    def _epoch(self, copy: SessionCopy) -> str:
        return copy.name.epoch if self._new_epoch is None else self._new_epoch()


class KnowledgeRestoring:
    """Puts artifacts and documents back. Nobody else may publish meanwhile."""

    def __init__(
        self,
        shelf: Shelf,
        artifacts: ArtifactStore,
        documents: Path | None,
        *,
        tell: Tell,
        replaces: bool = False,
    ) -> None:
        """``documents`` None: they are left out.

        ``replaces``: a generation that the cluster published under the number of one of the backup,
        because it began anew in an emptied store, gives way: citations name these numbers.
        """
        self._replaces = replaces
        self._shelf = shelf
        self._artifacts = artifacts
        self._documents = documents
        self._tell = tell

    def run(self, backup: Backup) -> tuple[Restored, Restored]:
        """Restore artifacts and documents; return what became of each."""
        artifacts, documents = Restored(), Restored()
        for row in self._artifact_rows(backup):
            if step_of(row.name) != "manifests":
                self._artifact(row, artifacts)
        if self._documents is not None:
            for row in self._shelf.files(backup.documents):
                self._document(self._documents, row, documents)
        for row in self._artifact_rows(backup):
            if step_of(row.name) == "manifests":
                self._artifact(row, artifacts)
        numbers = backup.artifacts.generations if backup.artifacts else {}
        # Pods may serve what gave way, now or in a run of this that was killed: the next
        # generation is above, and they come to that.
        artifacts.floors = {kb: n + self._replaces for kb, n in numbers.items()}
        return artifacts, documents

    def _artifact_rows(self, backup: Backup) -> Iterator[FileRow]:
        """Yield the artifacts; ``CorruptArtifact`` for one that is none of a knowledge base."""
        prefix = artifacts_prefix(backup.tenant)
        for row in self._shelf.files(backup.artifacts):
            if not row.name.startswith(prefix) or row.name.count("/") < _SLASHES_MIN:
                raise CorruptArtifact(f"{row.name!r} is not the name of an artifact")
            yield row

    def look(self, backup: Backup) -> tuple[Restored, Restored]:
        """Say what ``run`` would do, and change nothing."""
        artifacts, documents = Restored(), Restored()
        # Compared by name alone: contents are looked at when they are put back.
        names = self._artifacts.list(artifacts_prefix(backup.tenant))
        here = Before(FileRow(name, "", 0) for name in names)
        for row in self._shelf.files(backup.artifacts):
            _count(artifacts, here.of(row.name) is not None)
        root = self._documents
        for row in self._shelf.files(backup.documents) if root is not None else ():
            _count(documents, root is not None and (root / row.name).exists())
        return artifacts, documents

    def _artifact(self, row: FileRow, done: Restored) -> None:
        try:
            path = self._shelf.file(row.sha256)
        except CorruptArtifact as error:
            done.note(done.damaged, f"{row.name}: {error}")
            return
        if self._artifacts.put_file_if_absent(row.name, path):
            done.restored += 1
        elif checksum(self._artifacts.open_local(row.name)) == row.sha256:
            done.there += 1
        elif self._replaces and step_of(row.name) == "manifests":
            self._artifacts.delete(row.name)
            self._artifacts.put_file_if_absent(row.name, path)
            done.replaced.add(kb_of(row.name))
            done.restored += 1
        else:
            done.there += 1
            done.note(done.differs, row.name)
        self._tell("artifacts", 1)

    def _document(self, root: Path, row: FileRow, done: Restored) -> None:
        target = root / row.name
        self._tell("documents", 1)
        if target.exists() or not _may_be_made(target, root):
            done.there += 1
            if checksum(target) != row.sha256:
                done.note(done.differs, row.name)
            return
        try:
            source = self._shelf.file(row.sha256)
        except CorruptArtifact as error:
            done.note(done.damaged, f"{row.name}: {error}")
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # Under a name that the coordinator ignores, until it is whole; of names of any length.
        aside = target.with_name(f".{row.sha256}.restoring")
        with source.open("rb") as file, aside.open("wb") as copy:
            while block := file.read(1 << 20):
                copy.write(block)
        os.utime(aside, ns=(row.changed_ns, row.changed_ns))
        aside.rename(target)
        done.restored += 1


def highest(*known: Mapping[str, int]) -> dict[str, int]:
    """Return knowledge base to the highest number that any of ``known`` names."""
    found: dict[str, int] = {}
    for numbers in known:
        for kb, number in numbers.items():
            found[kb] = max(found.get(kb, 0), number)
    return found


def _may_be_made(target: Path, root: Path) -> bool:
    """Tell whether folders, and no file or link to elsewhere, lead from ``root`` to ``target``."""
    above = next(it for it in target.parents if it == root or os.path.lexists(it))
    return above == root or (above.is_dir() and above.resolve().is_relative_to(root.resolve()))


def _count(done: Restored, is_there: bool) -> None:
    if is_there:
        done.there += 1
    else:
        done.restored += 1


def _generations(copy: SessionCopy) -> dict[str, int]:
    try:
        said = json.loads(copy.meta.get("generations") or "{}")
        return {str(kb): int(number) for kb, number in said.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
