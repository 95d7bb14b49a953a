"""What has to be done for one knowledge base: the folder compared with the newest generation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from coordinator.folder import FileState
from kotaemon_node.domain.document_names import knowledge_base_of
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest
from kotaemon_node.domain.lineage import Refused

ROLLED_BACK: Final = (
    "a rollback refused this revision, and the one before could not be kept: change the file, or "
    "publish the folder again"
)
_UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class Plan:
    """Files to read, small ones first, and documents to forget."""

    to_read: Sequence[FileState]
    deleted: Sequence[str]
    rebuild: bool
    """The generation before cannot be extended: all of it is built anew, in one generation."""
    refused: Refused = field(default_factory=dict)
    """Documents whose files are not followed, because they are still what a rollback refused."""

    @property
    def idle(self) -> bool:
        """True when the newest generation says what the folder holds."""
        return not (self.to_read or self.deleted or self.rebuild)

    def with_moves_kept(self, waiting: Collection[FileState], newest: Manifest | None) -> "Plan":
        """Return the plan without the deletions of what still waits to be read under another name.

        A file that was renamed is found under its old name until the new one is read.
        """
        if not (waiting and self.deleted and newest):
            return self
        coming = {state.revision for state in waiting if state.revision}
        gone = set(self.deleted)
        moving = {
            entry.document
            for entry in newest.documents
            if entry.document in gone and entry.revision in coming
        }
        return replace(self, deleted=[name for name in self.deleted if name not in moving])


def plan_for(
    kb: str,
    files: Mapping[str, FileState],
    pending: Collection[str],
    newest: Manifest | None,
    *,
    rebuild: bool,
    refused: Refused | None = None,
) -> Plan:
    """Compare the whole files of ``kb`` with its newest generation.

    ``rebuild`` says that the generation cannot be extended. It waits until no file is pending,
    because it cannot keep what it does not read. ``refused`` says which files are not followed.
    """
    entries = {entry.document: entry for entry in newest.documents} if newest else {}
    if rebuild and any(knowledge_base_of(document) == kb for document in pending):
        return Plan((), (), rebuild=False)
    still = {
        document: revision
        for document, revision in (refused or {}).items()
        if document in pending or revision_in_folder(files.get(document)) == revision
    }
    to_read = [
        state
        for document, state in files.items()
        if document not in pending
        and document not in still
        and (rebuild or not _current(state, entries.get(document)))
    ]
    deleted = sorted(entries.keys() - files.keys() - still.keys() - set(pending))
    if rebuild:
        left_out = [files[document] for document in still if document in files]
        to_read += [replace(state, problem=ROLLED_BACK) for state in left_out]
    to_read.sort(key=lambda state: (state.size_bytes, state.document))
    return Plan(to_read, deleted, rebuild, refused=still)


def revision_in_folder(state: FileState | None) -> str | None:
    """Name what the folder has of a document: None for nothing, a word for what cannot be read."""
    if state is None:
        return None
    return state.revision or _UNREADABLE


def _current(state: FileState, entry: DocumentEntry | None) -> bool:
    """Tell whether an entry says what the file holds."""
    if entry is None or entry.status == "queued" or entry.revision != state.revision:
        return False
    return state.problem is None or entry.reason == state.problem
