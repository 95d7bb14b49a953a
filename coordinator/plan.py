"""What has to be done for one knowledge base: the folder compared with the newest generation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from coordinator.folder import FileState, knowledge_base_of
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest


@dataclass(frozen=True, slots=True)
class Plan:
    """Files to read, small ones first, and documents to forget."""

    to_read: Sequence[FileState]
    deleted: Sequence[str]
    rebuild: bool
    """The generation before cannot be extended: all of it is built anew, in one generation."""

    @property
    def idle(self) -> bool:
        """True when the newest generation says what the folder holds."""
        return not (self.to_read or self.deleted or self.rebuild)


def plan_for(
    kb: str,
    files: Mapping[str, FileState],
    pending: Collection[str],
    newest: Manifest | None,
    *,
    rebuild: bool,
) -> Plan:
    """Compare the whole files of ``kb`` with its newest generation.

    ``rebuild`` says that the generation cannot be extended. It waits until no file is pending,
    because it cannot keep what it does not read.
    """
    entries = {entry.document: entry for entry in newest.documents} if newest else {}
    if rebuild and any(knowledge_base_of(document) == kb for document in pending):
        return Plan((), (), rebuild=False)
    to_read = [
        state
        for document, state in files.items()
        if document not in pending and (rebuild or not _current(state, entries.get(document)))
    ]
    to_read.sort(key=lambda state: (state.size_bytes, state.document))
    deleted = sorted(entries.keys() - files.keys() - set(pending))
    return Plan(to_read, deleted, rebuild)


def _current(state: FileState, entry: DocumentEntry | None) -> bool:
    """Tell whether an entry says what the file holds."""
    if entry is None or entry.status == "queued" or entry.revision != state.revision:
        return False
    return state.problem is None or entry.reason == state.problem
