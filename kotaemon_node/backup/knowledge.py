"""Copies knowledge to the destination: the artifact store's generations, and the documents.

Law 1: contents that are named by their checksum are copied once. What the backup before has of
       them is not read again; manifests and notes are, whose numbers may mean something else after
       a loss.
Law 2: a backup has the newest generation whole: where that lost a file while it was copied, because
       a newer one took its place, all is looked through once more.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import structlog

from kotaemon_node.backup.format import (
    BackupRefused,
    FileRow,
    FilesSum,
    sum_from,
)
from kotaemon_node.backup.listing import Before, Gathered, documents_of
from kotaemon_node.backup.shelf import checksum, copied
from kotaemon_node.backup.writing import Notes, Onto, Tell, Writer
from kotaemon_node.domain.artifact_names import (
    knowledge_base_prefix,
    segment_file_name,
    text_name,
)
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from kotaemon_node.domain.signed_manifest import split
from kotaemon_node.ports.artifacts import ArtifactStore

_log = structlog.get_logger(__name__)

_TRIES_MAX: Final = 5


def artifacts_prefix(tenant: str) -> str:
    """Return the prefix of all knowledge bases of a tenant in the artifact store."""
    return knowledge_base_prefix(tenant, "").removesuffix("/")


def step_of(name: str) -> str:
    """Return of what kind an artifact is: ``manifests``, ``segments``, ``texts``, …"""
    return name.split("/")[4]


def kb_of(name: str) -> str:
    """Return the knowledge base of an artifact."""
    return name.split("/")[3]


class _Moved(Exception):
    """A generation was replaced, and its files removed, while they were copied."""


class KnowledgeCopying:
    """Copies the artifacts and the documents of a tenant."""

    def __init__(self, artifacts: ArtifactStore, *, documents: Path | None, tenant: str) -> None:
        """``documents`` is the knowledge folder; None leaves documents out."""
        self._artifacts = artifacts
        self._documents = documents
        self._tenant = tenant

    def artifacts(self, onto: Onto) -> FilesSum:
        """Return what was copied of the artifact store."""

        def copy() -> FilesSum:
            for attempt in range(1, _TRIES_MAX + 1):
                before = Before(onto.shelf.files(onto.parent.artifacts if onto.parent else None))
                try:
                    return self._copied(onto.writer, before, onto.tell)
                except _Moved as moved:
                    _log.info("knowledge_changed_meanwhile", reason=str(moved), attempt=attempt)
            raise Unavailable(
                "the newest generation is never whole while it is copied: they come too fast,"
                " or the artifact store lost files (see the coordinator's log); try again"
            )

        return _once(onto.notes, "artifacts", copy)

    def _copied(self, writer: Writer, before: Before, tell: Tell) -> FilesSum:
        gathered = Gathered(writer)
        newest: dict[str, tuple[str, Mapping[str, str]]] = {}
        for name in self._artifacts.list(artifacts_prefix(self._tenant)):
            if len(name.split("/")) < 6 or step_of(name) == "building":
                continue  # unfinished work of build workers
            row = before.of(name)
            if row is None or step_of(name) not in {"segments", "texts"}:
                new = self._file(writer, name, newest)
                if new is None:
                    continue  # retention removed it: it is needed by nobody
                gathered.add(new, copied=row is None or row.sha256 != new.sha256)
            else:
                gathered.add(row, copied=False)
            if step_of(name) == "segments" and kb_of(name) in newest:
                _met(newest, gathered_name=name)
            tell("artifacts", 1)
        _require_whole(newest)
        gathered.close()
        return FilesSum(
            files=gathered.files,
            size_bytes=gathered.size_bytes,
            copied=gathered.copied,
            generations={kb: _number(manifest) for kb, (manifest, _) in newest.items()},
            index=tuple(gathered.index),
        )

    def _file(
        self, writer: Writer, name: str, newest: dict[str, tuple[str, Mapping[str, str]]]
    ) -> FileRow | None:
        """Copy one artifact; None where it is gone by now."""
        if step_of(name) == "segments":
            return self._segment_file(writer, name, newest)
        content = self._artifacts.get(name)
        if content is None:
            return None
        if step_of(name) == "manifests":
            # They are listed in their order, and before their segments: the last one stays.
            newest[kb_of(name)] = (name, _segment_files(self._tenant, kb_of(name), content))
        row = FileRow(name, writer.put(content), len(content))
        if step_of(name) == "texts" and text_name(self._tenant, kb_of(name), row.sha256) != name:
            _log.error("artifact_damaged", name=name, reason="it has another checksum")
        return row

    def _segment_file(
        self, writer: Writer, name: str, newest: Mapping[str, tuple[str, Mapping[str, str]]]
    ) -> FileRow | None:
        try:
            path = self._artifacts.open_local(name)
            sha256, size = checksum(path), path.stat().st_size
            expected = newest.get(kb_of(name), ("", {}))[1].get(name, sha256)
            if sha256 != expected and self._artifacts.discard_local(name, sha256=expected):
                path = self._artifacts.open_local(name)
                sha256, size = checksum(path), path.stat().st_size
        except (CorruptArtifact, FileNotFoundError):
            return None  # retention removed it, before it was opened or while it was read
        if sha256 != expected:
            # The coordinator finds this out as well, and publishes anew: the next backup is whole.
            _log.error("artifact_damaged", name=name, reason="it has another checksum")
        writer.put_file(path, sha256)
        return FileRow(name, sha256, size)

    def documents(self, onto: Onto) -> FilesSum:
        """Return what was copied of the knowledge folder."""
        root = self._documents
        if root is None:
            return FilesSum()
        if not root.is_dir():
            raise BackupRefused(
                f"The knowledge folder {root} is not there: mount it, name it with KNOWLEDGE_DIR or"
                " --knowledge, or leave documents out with --without-documents."
            )

        def copy() -> FilesSum:
            before = Before(onto.shelf.files(onto.parent.documents if onto.parent else None))
            gathered = Gathered(onto.writer)
            with tempfile.TemporaryDirectory(prefix="kotaemon-backup-") as folder:
                for name in documents_of(root):
                    row = before.of(name)
                    new = _document(onto.writer, root, name, row, aside=Path(folder, "document"))
                    if new is not None:
                        gathered.add(new, copied=new != row)
                        onto.tell("documents", 1)
            gathered.close()
            return FilesSum(
                files=gathered.files,
                size_bytes=gathered.size_bytes,
                copied=gathered.copied,
                index=tuple(gathered.index),
            )

        return _once(onto.notes, "documents", copy)


def _document(
    writer: Writer, root: Path, name: str, row: FileRow | None, *, aside: Path
) -> FileRow | None:
    """Copy a document, unless it is as it was; None where it went away."""
    path = root / name
    try:
        found = path.stat()
        if row is not None and (row.size_bytes, row.changed_ns) == (
            found.st_size,
            found.st_mtime_ns,
        ):
            return row
        sha256, size = copied(path, aside)
    except FileNotFoundError:
        return None
    if row is None or row.sha256 != sha256 or not writer.trusts:
        writer.put_file(aside, sha256)
    return FileRow(name, sha256, size, found.st_mtime_ns)


def _once(notes: Notes, part: str, copy: Callable[[], FilesSum]) -> FilesSum:
    note = notes.read(part)
    if note is not None:
        done: FilesSum = sum_from(part, note)
        return done
    found = copy()
    notes.write(part, asdict(found))
    return found


def _segment_files(tenant: str, kb: str, manifest: bytes) -> dict[str, str]:
    """Return the names of the files that a generation consists of, with their checksums.

    The manifest need not be trusted for this: what it names is copied, nothing is opened.
    """
    try:
        said: Mapping[str, Any] = json.loads(split(manifest).payload)
        return {
            segment_file_name(tenant, kb, segment["name"], file): str(sha256)
            for segment in said["segments"]
            for file, sha256 in segment["files"].items()
        }
    except (CorruptArtifact, ValueError, LookupError, TypeError, AttributeError) as error:
        # No pod serves it either; it is copied as it lies.
        _log.error("manifest_unreadable", kb=kb, reason=repr(error))
        return {}


def _met(newest: dict[str, tuple[str, Mapping[str, str]]], *, gathered_name: str) -> None:
    """Note that a file of the newest generation is in the backup."""
    manifest, files = newest[kb_of(gathered_name)]
    if gathered_name in files:
        left = {name: sha256 for name, sha256 in files.items() if name != gathered_name}
        newest[kb_of(gathered_name)] = (manifest, left)


def _require_whole(newest: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
    for manifest, lacking in newest.values():
        if lacking:
            raise _Moved(f"{manifest} lacks {next(iter(lacking))}")


def _number(manifest: str) -> int:
    return int(manifest.rpartition("/")[2].partition(".")[0])
