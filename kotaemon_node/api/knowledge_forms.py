"""The forms of answers about knowledge: what was found, documents, generations, orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import DocumentStatus, PassageKind
from kotaemon_node.ports.jobs import JobState


@dataclass(frozen=True, slots=True)
class PassageForm:
    """A passage found: where it stands, how close it is, and where it can be read in place."""

    id: str
    document: str
    revision: str
    title: str
    page: int | None
    heading: Sequence[str]
    span: tuple[int, int]
    kind: PassageKind
    text: str
    score: float
    url: str


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The best passages of one generation, best first."""

    kb: str
    generation: int
    digest: str
    passages: Sequence[PassageForm]


@dataclass(frozen=True, slots=True)
class SourceForm:
    """A cited passage in its document as it was: ``text[span[0]:span[1]]`` in code points.

    ``quotes`` are the places in it that the caller named as those which were cited.
    """

    id: str
    kb: str
    generation: int
    document: str
    revision: str
    title: str
    span: tuple[int, int]
    text: str
    quotes: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class KnowledgeForm:
    """A knowledge base as this pod serves it.

    ``recall``: on its probe set, when it passed the gate. ``refused``: documents whose files are
    not followed since a rollback. ``held``: the build that the gate keeps out, and why.
    """

    kb: str
    generation: int
    digest: str
    parent: str | None
    encoder: str
    documents: int
    failed: int
    passages: int
    created_at: str
    rolled_back_to: int | None
    refused: Sequence[str]
    recall: float | None
    held: HeldBuild | None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document of the generation served; ``reason`` says why one failed.

    ``queued_revision``: what was uploaded of it and waits to be read.
    """

    document: str
    revision: str
    title: str
    status: DocumentStatus
    reason: str | None
    file_bytes: int
    text_chars: int
    passages: int
    indexed_at: str
    queued_revision: str | None


@dataclass(frozen=True, slots=True)
class DocumentList:
    """A page of a knowledge base's documents."""

    kb: str
    generation: int
    documents: Sequence[DocumentRow]
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that was taken, and the job that ends when it has been read."""

    document: str
    revision: str
    job: str


@dataclass(frozen=True, slots=True)
class UploadForm:
    """The files of a request that were taken; the first one at the top."""

    document: str
    revision: str
    job: str
    uploads: Sequence[Uploaded]


@dataclass(frozen=True, slots=True)
class DocumentPassage:
    """A passage's place in its document."""

    id: str
    span: tuple[int, int]
    heading: Sequence[str]
    page: int | None
    kind: PassageKind


@dataclass(frozen=True, slots=True)
class DocumentForm:
    """A document with its canonical text, null where it failed."""

    kb: str
    generation: int
    document: str
    revision: str
    title: str
    status: DocumentStatus
    reason: str | None
    file_bytes: int
    text_chars: int
    indexed_at: str
    queued_revision: str | None
    text: str | None
    passages: Sequence[DocumentPassage]


@dataclass(frozen=True, slots=True)
class GenerationForm:
    """A generation that is kept; exactly one is ``served`` by this pod.

    ``complete``: its index is kept, too, so that a rollback can go there.
    """

    generation: int
    digest: str
    parent: str | None
    encoder: str
    documents: int
    passages: int
    created_at: str
    served: bool
    complete: bool
    rolled_back_to: int | None


@dataclass(frozen=True, slots=True)
class GenerationList:
    """The generations of a knowledge base, newest first."""

    kb: str
    generations: Sequence[GenerationForm]


@dataclass(frozen=True, slots=True)
class JobForm:
    """An order and what became of it; ``result`` names the generation that it made."""

    job: str
    kind: str
    kb: str
    fields: Mapping[str, Any]
    state: JobState
    reason: str | None
    result: Mapping[str, Any]
    attempts: int
    created_at: float
    changed_at: float


@dataclass(frozen=True, slots=True)
class JobList:
    """The newest orders, newest first."""

    jobs: Sequence[JobForm]
