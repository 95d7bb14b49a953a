"""The knowledge base that all arms answer from: built by the coordinator's program, once."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.signing import public_key_of
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.evaluation.base import Built
from kotaemon_node.evaluation.building import CoordinatorBuild
from kotaemon_node.retrieval.loading import GenerationLoader
from load.bench.speed.corpus import VERSION, write_documents

MODEL = "all-MiniLM-L6-v2"
"""The default encoder's model for English, in which all is asked."""
_DIMENSION = 384
ROOM = Path(tempfile.gettempdir()) / "kn-speed"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """A generation as a pod opens it, and the same texts and vectors for whoever is no pod."""

    ref: GenerationRef
    artifacts: Path
    trusted: str
    """``TRUSTED_KEYS`` of a pod that serves it."""
    passages: int
    texts: Path
    """The passages, one JSON object a line."""
    vectors: Path
    """(passages, 384) float32 of length 1, in the order of the texts."""


def prepared(*, passages: int, models: Path, room: Path = ROOM, tell: Tell) -> Knowledge:
    """Return the knowledge base of this size; what was built before is used again."""
    folder = room / f"policies-{VERSION}-{passages}"
    documents, complete = folder / "documents", folder / "complete.json"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        tell(f"building a knowledge base of {passages} passages in {folder}")
        write_documents(documents, passages=passages)
    # The program keeps what still fits the models and the rules of ingest, else it builds anew.
    build = CoordinatorBuild("", "onnx", models, 2)
    built = build(documents, folder / "built", _every_tenth(tell))
    if built.failed or built.passages != passages:
        raise RuntimeError(f"{passages} passages were written, {built.passages} were read")
    told = json.loads(complete.read_text("utf-8")) if complete.exists() else {}
    if told.get("digest") != built.ref.digest:
        _write_plain(built, folder)
        complete.write_text(json.dumps({"digest": built.ref.digest}), "utf-8")
    return Knowledge(
        built.ref,
        built.artifacts,
        public_key_of(folder / "built" / "signing.pem"),
        passages,
        folder / "passages.jsonl",
        folder / "vectors.npy",
    )


def read_texts(path: Path) -> list[str]:
    """Return the passages' texts."""
    return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]


def _write_plain(built: Built, folder: Path) -> None:
    store = FileArtifactStore(built.artifacts)
    tasks = ThreadTasks(native_threads=1)
    loader = GenerationLoader(
        store, FaissSegmentFormat(), built.verifier, tasks=tasks, tenant=DEFAULT_TENANT
    )
    generation = loader.load(built.ref)
    vectors: NDArray[np.float32] = np.empty((generation.rows, _DIMENSION), dtype=np.float32)
    lines = []
    try:
        for row in range(generation.rows):
            passage = generation.passage(row)
            lines.append(json.dumps({"id": passage.document, "text": passage.text}))
        for part in generation.parts:
            for row in range(part.segment.passages):
                vectors[part.first + row] = _english(part.segment.vector(row))
    finally:
        generation.close()
    (folder / "passages.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    np.save(folder / "vectors.npy", vectors)


def _english(by_space: Any) -> NDArray[np.float32]:
    # The other space, of questions in Chinese, has another number of dimensions.
    (found,) = [vector for vector in by_space.values() if len(vector) == _DIMENSION]
    one: NDArray[np.float32] = found
    return one


def _every_tenth(tell: Tell) -> Callable[[str, int, int], None]:
    last: list[tuple[str, int]] = [("", 0)]

    def told(doing: str, done: int, of: int) -> None:
        tenth = 10 * done // max(of, 1)
        if last[0] != (doing, tenth):
            last[0] = (doing, tenth)
            tell(f"{doing} {done} of {of}")

    return told
