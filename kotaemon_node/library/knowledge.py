"""A local index: documents in a folder, read, cut, encoded and searched as a cluster does it.

INDEX/documents/…      copies of what was ingested
INDEX/built/DIGEST/    one generation of them, and the key by which it is signed
INDEX/newest.json      which one that is, written last
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.signing import TrustedKeys, public_key_of
from kotaemon_node.domain.knowledge import BOTH_LEGS, GenerationRef, Leg, SearchResult
from kotaemon_node.engine.lending import PinnedKnowledge
from kotaemon_node.evaluation.base import Built, Tell
from kotaemon_node.evaluation.building import CoordinatorBuild
from kotaemon_node.evaluation.opening import opened
from kotaemon_node.ports.encoder import Encoder

_NEWEST: Final = "newest.json"
_KEY: Final = "signing.pem"
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an index holds after documents were put into it."""

    documents: int
    passages: int
    failed: tuple[tuple[str, str], ...]
    """(document, reason) of files that could not be read."""


class NoDocuments:
    """Knowledge of nothing; ``engine.finding.PinnedKnowledge``."""

    ref = GenerationRef("default", 0, "", "")

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        """Find nothing."""
        return SearchResult("default", 0, "", ())

    def closeness(self, one: str, other: str) -> float:
        """Know of no closeness."""
        return -1.0


class LocalIndex:
    """``engine.finding.Knowledge`` of one folder. One program at a time writes to it."""

    def __init__(self, folder: Path, *, encoder: str, models: Path, threads: int = 2) -> None:
        """Open what is there; ``encoder`` and ``models`` as ``adapters.encoder.make_encoder``."""
        self._folder = folder
        self._build = CoordinatorBuild(encoder, "onnx", models, threads)
        self._make = partial(make_encoder, encoder, "onnx", models, threads)
        self._encoder: Encoder | None = None
        self._open = ExitStack()
        self._searcher: PinnedKnowledge = NoDocuments()
        self._known: Mapping[str, Any] = {}
        if (folder / _NEWEST).exists():
            self._serve(json.loads((folder / _NEWEST).read_text("utf-8")))

    def ingest(self, paths: Sequence[Path], tell: Tell) -> Ingested:
        """Put files, and all files of folders, into the index; what has their names is replaced.

        Raises ``FileNotFoundError``, and ``ExperimentError`` where nothing can be built.
        """
        documents = self._folder / "documents"
        documents.mkdir(parents=True, exist_ok=True)
        for path in paths:
            _copy(path, documents)
        digest = _digest(documents, self._build.model)
        if self._known.get("digest") != digest:
            built = self._build(documents, self._folder / "built" / digest, tell)
            known = {
                "digest": digest,
                "ref": asdict(built.ref),
                "passages": built.passages,
                "failed": [list(one) for one in built.failed],
            }
            coming = self._folder / f".{_NEWEST}.coming"
            coming.write_text(json.dumps(known), "utf-8")
            coming.replace(self._folder / _NEWEST)
            before = self._known.get("digest")
            self._serve(known)
            if before:
                shutil.rmtree(self._folder / "built" / before, ignore_errors=True)
        return self.ingested

    @property
    def ingested(self) -> Ingested:
        """What the index holds."""
        folder = self._folder / "documents"
        count = sum(path.is_file() for path in folder.rglob("*")) if folder.exists() else 0
        failed = tuple((name, reason) for name, reason in self._known.get("failed", ()))
        return Ingested(count, int(self._known.get("passages", 0)), failed)

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator[PinnedKnowledge]:
        """See the protocol."""
        yield self._searcher

    @property
    def encoder(self) -> Encoder:
        """That of its documents; it is loaded when it is first asked for."""
        if self._encoder is None:
            self._encoder = self._make()
        return self._encoder

    def close(self) -> None:
        """Let go of the files."""
        self._searcher = NoDocuments()
        self._open.close()

    def _serve(self, known: Mapping[str, Any]) -> None:
        room = self._folder / "built" / known["digest"]
        built = Built(
            GenerationRef(**known["ref"]),
            known["passages"],
            (),
            room / "artifacts",
            TrustedKeys([public_key_of(room / _KEY)]),
        )
        coming = ExitStack()
        searcher = coming.enter_context(opened(built, self.encoder, {})).searcher
        before, self._open = self._open, coming
        self._searcher, self._known = searcher, known
        before.close()


def _copy(path: Path, documents: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, documents, dirs_exist_ok=True)
        return
    shutil.copy2(path, documents / path.name)


def _digest(documents: Path, model: str) -> str:
    """Return a name for the content of a folder, encoded by ``model``."""
    digest = hashlib.sha256(model.encode())
    for path in sorted(path for path in documents.rglob("*") if path.is_file()):
        digest.update(f"\x00{path.relative_to(documents)}\x00".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]
