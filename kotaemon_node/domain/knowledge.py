"""Knowledge as values: passages, documents, segments, manifests.

The manifest is the database: one immutable JSON per generation of a knowledge base. A generation's
identity is (number, digest). Spans are half-open ranges of Unicode code points in the document's
canonical text: ``text[span[0]:span[1]]`` is the passage.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal
from urllib.parse import quote

from kotaemon_node.domain.language import Language

MANIFEST_SCHEMA: Final = 1

PassageKind = Literal["text", "table", "faq", "code"]
DocumentStatus = Literal["queued", "indexed", "failed"]
Leg = Literal["lexical", "dense"]
"""One way of searching."""
BOTH_LEGS: Final[frozenset[Leg]] = frozenset({"lexical", "dense"})


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that can be found and cited.

    ``heading`` is the path of headings above it, outermost first. For ``kind == "faq"`` the text is
    the question, a newline, and the answer.
    """

    id: str
    document: str
    revision: str
    title: str
    heading: tuple[str, ...]
    page: int | None
    span: tuple[int, int]
    text: str
    language: Language
    kind: PassageKind = "text"


def passage_id(*, document: str, revision: str, span: tuple[int, int]) -> str:
    """Return the id of a passage: the same text at the same place has the same id for ever.

    It names the document's revision and the span, so that a citation can be opened when the index
    that found it is long gone.
    """
    return f"{document_id(document=document, revision=revision)}-{span[0]}-{span[1]}"


def document_id(*, document: str, revision: str) -> str:
    """Return the first part of the ids of a document revision's passages: 16 hex digits."""
    return hashlib.sha256(f"{document}\x00{revision}".encode()).hexdigest()[:16]


def source_path(*, kb: str, generation: int, passage: str) -> str:
    """Return the address of a cited passage. It never changes."""
    return f"/v1/sources/{quote(kb)}/{generation}/{quote(passage)}"


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """A document of a generation: found (``indexed``) or refused (``failed`` with its reason)."""

    document: str
    revision: str
    """sha256 (hex) of the file's bytes."""
    title: str
    status: DocumentStatus
    reason: str | None
    file_bytes: int
    text_chars: int
    passages: int
    text: str | None
    """sha256 (hex) of the canonical text, under which the artifact store keeps it."""
    segment: str | None
    """Name of the segment that holds its passages; passages elsewhere under this name are dead."""
    indexed_at: str
    """ISO 8601, UTC."""
    # Made once: most of a manifest's thousands of documents were in the one before.
    _json: str = field(default="", init=False, compare=False, repr=False)

    def to_json(self) -> str:
        """Return its part of a manifest's canonical JSON."""
        if not self._json:
            said = {at: getattr(self, at) for at in self.__slots__ if at != "_json"}
            object.__setattr__(self, "_json", _canonical(said))
        return self._json


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """An immutable set of files named by content: ``files`` maps file name to sha256 (hex)."""

    name: str
    passages: int
    size_bytes: int
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation of one knowledge base."""

    tenant: str
    kb: str
    generation: int
    parent: str | None
    """Digest of the generation before, or None for the first."""
    encoder: str
    spaces: Mapping[str, int]
    """Vector space to dimension; all vectors have unit length, the metric is the inner product."""
    segments: Sequence[SegmentEntry]
    documents: Sequence[DocumentEntry]
    created_at: str
    schema: int = MANIFEST_SCHEMA
    metric: str = "inner_product"
    extra: Mapping[str, Any] = field(default_factory=dict)
    # Not of ``init``, so that a manifest made from another one by ``replace`` never inherits it.
    _digest: str = field(default="", init=False, compare=False, repr=False)

    def to_json(self) -> bytes:
        """Return the canonical bytes (sorted keys, no blanks), over which the digest is taken."""
        said = {at.name: getattr(self, at.name) for at in fields(self) if at.init}
        said["segments"] = [
            {at: getattr(entry, at) for at in entry.__slots__} for entry in self.segments
        ]
        said["documents"] = []
        # The first place where this can stand: in a string each quote has a backslash before it,
        # and of the keys that may hold others only later ones do.
        before, mark, after = _canonical(said).partition('"documents":[')
        documents = ",".join([entry.to_json() for entry in self.documents])
        raw = "".join((before, mark, documents, after)).encode()
        if not self._digest:
            # Who stores it needs the digest as well; making the bytes again takes longer.
            object.__setattr__(self, "_digest", hashlib.sha256(raw).hexdigest())
        return raw

    @property
    def digest(self) -> str:
        """sha256 (hex) of the canonical bytes; taken once, for thousands of documents take long."""
        if not self._digest:
            self.to_json()
        return self._digest

    @classmethod
    def from_json(cls, raw: bytes) -> "Manifest":
        """Read ``to_json``'s bytes; ``ValueError`` or ``KeyError`` when they are not a manifest."""
        said = json.loads(raw)
        _check_schema(said)
        documents = tuple(DocumentEntry(**row) for row in said["documents"])
        return cls.of(said, documents, digest=hashlib.sha256(raw).hexdigest())

    @classmethod
    def of(
        cls, said: Mapping[str, Any], documents: Sequence[DocumentEntry], *, digest: str
    ) -> "Manifest":
        """Make a manifest of its parsed JSON, of its documents, and of the digest of its bytes.

        Raises as ``from_json``.
        """
        _check_schema(said)
        segments = tuple(SegmentEntry(**row) for row in said["segments"])
        made = cls(**{**said, "segments": segments, "documents": documents})
        object.__setattr__(made, "_digest", digest)
        return made


def _check_schema(said: Mapping[str, Any]) -> None:
    if said["schema"] != MANIFEST_SCHEMA:
        raise ValueError(
            f"the manifest is of schema {said['schema']!r:.20}; this program knows"
            f" {MANIFEST_SCHEMA}: upgrade pods before coordinators"
        )


# ``json.dumps`` would make one for each document.
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _canonical(said: Mapping[str, Any]) -> str:
    return _ENCODER.encode(said)


@dataclass(frozen=True, slots=True)
class GenerationRef:
    """The identity of a generation and where its manifest lies in the artifact store."""

    kb: str
    generation: int
    digest: str
    manifest: str


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """A line in the list of a knowledge base's generations."""

    generation: int
    digest: str
    parent: str | None
    """Digest of the generation before."""
    encoder: str
    documents: int
    passages: int
    created_at: str
    """ISO 8601, UTC."""
    rolled_back_to: int | None = None
    """The generation whose content it has again."""
    segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OldRevision:
    """A document as ``generation`` had it, the newest one that did. ``text``: None if it failed."""

    generation: int
    entry: DocumentEntry
    text: str | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found. ``score`` is the fused score (higher is closer); the parts explain it.

    ``dense`` is the cosine of question and passage in the best space, in [-1, 1], or None when they
    have no space in common; ``contrast`` is the same on a scale that all models share: 0 when the
    passage is no closer than any other text, 1 when it says the same. ``lexical`` is the BM25
    score, 0.0 when no word matched; ``coverage`` is the share, weighted by inverse document
    frequency, of the question's terms that the passage holds, in [0, 1), counted with one more
    term that no passage holds. ``rerank`` is the score by which a reranker placed it; None: none
    did. Hits with one come first, by it, and ``score`` says how they were found.
    """

    passage: Passage
    score: float
    dense: float | None
    lexical: float
    coverage: float
    contrast: float | None = None
    rerank: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one search found in one generation, best first."""

    kb: str
    generation: int
    digest: str
    hits: tuple[Hit, ...]
    reranker: str = ""
    """The model that put them in this order; "": none did."""
    words_alone: bool = False
    """The encoder did not answer: nothing was found by meaning. Not worth keeping."""


@dataclass(frozen=True, slots=True)
class Source:
    """A cited passage in its document as it was: ``text[span[0]:span[1]]`` is the passage."""

    kb: str
    generation: int
    document: str
    revision: str
    title: str
    text: str
    span: tuple[int, int]
