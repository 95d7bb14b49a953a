"""What a backup is, as its destination keeps it; every name there is spelt in this file.

| name                          | holds                                                         |
|-------------------------------|---------------------------------------------------------------|
| `backups/<id>.json`           | the manifest, written last: without it there is no backup     |
| `blobs/<2 digits>/<sha256>`   | contents: packs of sessions, files, parts of indexes          |
| `unfinished/<id>/<part>.json` | what an unfinished backup has done, so that it can go on      |
| `in-use/<time>.<holder>`      | who writes there now                                          |
| `sealing/tenants/<tenant>`    | nothing: the tenant has, or had, data keys                    |
| `tenants/<tenant>/sealing/…`  | data keys, wrapped, and which were destroyed: of all backups, |
|                               | so that none brings a destroyed one back                      |

Law 1: a manifest names all that its backup consists of, also what an older one wrote; so each
       backup is restored alone, and an incremental one is only cheaper to make.
Law 2: a blob is called by its checksum, so it is never half right: it is there, damaged or missing.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

from kotaemon_node.domain.errors import CorruptArtifact, Malformed, Unavailable
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.session_copy import CopyName

FORMAT: Final = 1
BACKUPS: Final = "backups/"
BLOBS: Final = "blobs/"
UNFINISHED: Final = "unfinished/"
IN_USE: Final = "in-use/"
SHARDS: Final = 16
"""Sessions are kept in so many indexes, by the first hex digit of the digest of their ids."""
_PIECE_BYTES: Final = 64 * 1024
_LINE_BYTES_MAX: Final = 64 * 1024  # a path of Linux has 4 KiB
ROWS_PER_PART: Final = 10_000
"""Files in one part of an index: about 3 MB of memory."""

Part = Literal["knowledge", "sessions"]
PARTS: Final[tuple[Part, ...]] = ("knowledge", "sessions")
Kind = Literal["full", "incremental"]


class BackupRefused(Exception):
    """It cannot be done as asked, and the message says what to do; nothing was broken by trying."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of the knowledge folder or of the artifact store."""

    name: str
    sha256: str
    size_bytes: int
    changed_ns: int = 0
    """Time of the last change of a document; 0 where contents never change under their name."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session: where its copy lies, and as of when it is."""

    tenant: str
    session_id: str
    epoch: str
    version: int
    fence: int
    active_ms: int
    archived: bool
    pack: str
    """sha256 of the blob that holds the copy among others."""
    offset: int
    size_bytes: int

    @property
    def name(self) -> CopyName:
        """The name of the copy among those of its session."""
        return CopyName(self.active_ms, self.version, self.epoch)


@dataclass(frozen=True, slots=True)
class SessionsSum:
    """What a backup has of sessions; ``index``: one blob a shard, in their order."""

    sessions: int = 0
    archived: int = 0
    turns: int = 0
    size_bytes: int = 0
    copied: int = 0
    """How many this backup had to copy; an older one's copies of the others still hold."""
    skipped: int = 0
    """Sessions that could not be copied: too large, or their history is not whole."""
    index: tuple[str, ...] = ()
    access: str = ""
    """sha256 of the blob of API keys' digests, and of the secret behind ids; "": there are none."""

    def __add__(self, other: Self) -> Self:
        """Return the sum of two shards."""
        return replace(
            self,
            sessions=self.sessions + other.sessions,
            archived=self.archived + other.archived,
            turns=self.turns + other.turns,
            size_bytes=self.size_bytes + other.size_bytes,
            copied=self.copied + other.copied,
            skipped=self.skipped + other.skipped,
            index=self.index + other.index,
        )


@dataclass(frozen=True, slots=True)
class FilesSum:
    """What a backup has of files; ``index``: blobs of ``ROWS_PER_PART`` rows, sorted by name."""

    files: int = 0
    size_bytes: int = 0
    copied: int = 0
    generations: Mapping[str, int] = field(default_factory=dict)
    """Knowledge base to the highest number of a generation; of artifacts only."""
    index: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backup:
    """A manifest. ``sessions``, ``artifacts`` and ``documents``: None for parts it has not."""

    id: str
    kind: Kind
    parent: str | None
    """The backup whose copies it uses on, None for a full one."""
    product: str
    cluster: str
    tenant: str
    began_at: str
    """ISO 8601, UTC. What was written before this moment is in it."""
    ended_at: str
    written_bytes: int
    sessions: SessionsSum | None = None
    artifacts: FilesSum | None = None
    documents: FilesSum | None = None
    format: int = FORMAT
    plugins: tuple[str, ...] = ()
    """Blobs: of what is wanted of them, then of their bundles. Part of ``knowledge``."""
    audit: FilesSum | None = None
    """The audit log, part of ``sessions``: volumes, signed notes, and the newest lines."""

    @property
    def what(self) -> tuple[Part, ...]:
        """Which parts it has."""
        has = {"knowledge": self.artifacts is not None, "sessions": self.sessions is not None}
        return tuple(part for part in PARTS if has[part])

    @property
    def size_bytes(self) -> int:
        """Of all that it consists of, whoever wrote it."""
        parts = (self.sessions, self.artifacts, self.documents, self.audit)
        return sum(part.size_bytes for part in parts if part is not None)

    def to_json(self) -> bytes:
        """Return it with the checksum of all that it says."""
        said = asdict(self)
        if not self.plugins:
            del said["plugins"]  # a program from before it reads the others
        if not self.audit:
            del said["audit"]
        return json.dumps({**said, "sum": _sum(said)}, sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, raw: bytes, *, name: str = "the manifest") -> Self:
        """Read ``to_json`` back: ``CorruptArtifact`` if damaged, ``Unavailable`` if too new."""
        try:
            said = json.loads(raw)
            if said["format"] != FORMAT:
                raise Unavailable(
                    f"{name} is of format {said['format']}, this program knows {FORMAT}: use the"
                    f" version that made it ({said.get('product', 'unknown')}) or a newer one"
                )
            if said.pop("sum") != _sum(said):
                raise CorruptArtifact(f"{name} is damaged: its checksum is another")
            parts = {at: _of(at, said[at]) for at in _SUMS}
            parts["audit"] = _of("audit", said.get("audit"))
            return cls(**{**said, **parts, "plugins": tuple(said.get("plugins", ()))})
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise CorruptArtifact(f"{name} cannot be read: {error!r}") from error


_SUMS: Final[Mapping[str, type[SessionsSum] | type[FilesSum]]] = {
    "sessions": SessionsSum,
    "artifacts": FilesSum,
    "documents": FilesSum,
}


def _of(part: str, said: Mapping[str, Any] | None) -> SessionsSum | FilesSum | None:
    kind = _SUMS.get(part, FilesSum)
    return None if said is None else kind(**{**said, "index": tuple(said["index"])})


def sum_from(part: str, said: Mapping[str, Any]) -> Any:
    """Read a part's sum back from what a note of an unfinished backup says."""
    found = _of("sessions" if part.startswith("sessions") else "artifacts", said)
    assert found is not None
    return found


def _sum(said: Mapping[str, Any]) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(content: bytes) -> str:
    """Return the checksum (hex)."""
    return hashlib.sha256(content).hexdigest()


def blob_name(sha256: str) -> str:
    """Return where a content lies."""
    if len(sha256) != 64 or not set(sha256) <= _HEX:
        raise CorruptArtifact(f"{sha256[:80]!r} is no checksum")
    return f"{BLOBS}{sha256[:2]}/{sha256}"


_HEX: Final = frozenset("0123456789abcdef")


def manifest_name(backup: str) -> str:
    """Return where the manifest of a backup lies."""
    return f"{BACKUPS}{backup}.json"


def note_name(backup: str, part: str) -> str:
    """Return where an unfinished backup notes that a part is done; ``begun`` is the first note."""
    return f"{UNFINISHED}{backup}/{part}.json"


def backup_id(now_s: float, unique: str) -> str:
    """Return a new id; ids sort by time."""
    at = datetime.fromtimestamp(now_s, UTC)
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}Z-{unique[:6].lower()}"


def iso(now_s: float) -> str:
    """Return a time as manifests say it."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")


def seconds(at: str) -> float:
    """Read ``iso`` back."""
    return datetime.fromisoformat(at).timestamp()


def packed_rows(rows: Sequence[FileRow] | Sequence[SessionRow]) -> bytes:
    """Return rows as a part of an index: compressed lines of JSON."""
    lines = (
        json.dumps([getattr(row, at) for at in row.__slots__], ensure_ascii=False) for row in rows
    )
    return zlib.compress("\n".join(lines).encode("utf-8", "surrogatepass"), 6)


def file_rows(content: bytes) -> Iterator[FileRow]:
    """Read ``packed_rows`` of files; ``CorruptArtifact`` for anything else.

    Their names are relative and lead nowhere else: a destination may be written by others, too.
    """
    for row in _rows(content, FileRow):
        if "\0" in row.name or any(step in {"", ".", ".."} for step in row.name.split("/")):
            raise CorruptArtifact(f"{row.name!r} is not the name of a file")
        yield row


def session_rows(content: bytes) -> Iterator[SessionRow]:
    """Read ``packed_rows`` of sessions; ``CorruptArtifact`` for anything else."""
    for row in _rows(content, SessionRow):
        try:
            checked_id("tenant", row.tenant)
            checked_id("session id", row.session_id)
        except Malformed as error:
            raise CorruptArtifact(f"a part of an index names no session: {error}") from error
        yield row


def _rows(content: bytes, kind: Any) -> Iterator[Any]:
    try:
        for line in _lines(content):
            if line:
                yield kind(*json.loads(line.decode("utf-8", "surrogatepass")))
    except (zlib.error, ValueError, TypeError) as error:
        raise CorruptArtifact(f"a part of an index cannot be read: {error!r}") from error


def _lines(content: bytes) -> Iterator[bytes]:
    """Yield the lines, inflated a piece at a time: whatever is in there, memory is bounded."""
    inflating, waiting, rest = zlib.decompressobj(), content, b""
    while not inflating.eof:
        piece = inflating.decompress(waiting, _PIECE_BYTES)
        if not piece and not inflating.eof:
            raise ValueError("it is cut off")
        waiting = inflating.unconsumed_tail
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > _LINE_BYTES_MAX:
            raise ValueError("it has a line that is too long")
    yield rest
