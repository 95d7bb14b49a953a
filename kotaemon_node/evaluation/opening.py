"""Documents of a data set as files, and what was built of them opened as a pod does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.evaluation.base import Base, Built
from kotaemon_node.evaluation.sets.form import DataSet, Document
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.retrieval.batching import QuestionEncoder
from kotaemon_node.retrieval.loading import GenerationLoader
from kotaemon_node.retrieval.opening import SearcherFactory


def written(data: DataSet, folder: Path) -> tuple[Path, Mapping[str, str]]:
    """Write the documents of a set as files; return their folder, and file to name."""
    if data.folder is not None:
        return data.folder, {}
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    for number, document in enumerate(data.documents):
        name = f"{number:05}.{'md' if document.markdown else 'txt'}"
        (folder / name).write_text(_content(document), "utf-8")
        names[name] = document.name
    return folder, names


@contextmanager
def opened(built: Built, encoder: Encoder, names: Mapping[str, str]) -> Iterator[Base]:
    """Open a generation with the pods' own searcher."""
    tasks = ThreadTasks(native_threads=1)
    store = FileArtifactStore(built.artifacts)
    loader = GenerationLoader(
        store, FaissSegmentFormat(), built.verifier, tasks=tasks, tenant=DEFAULT_TENANT
    )
    generation = loader.load(built.ref)
    try:
        searcher = SearcherFactory(lambda _: encoder, tasks=tasks).make(generation)
        # Asked one at a time: what else is in a batch changes the last digits of a vector.
        questions = QuestionEncoder(encoder, compute=tasks.compute)
        yield Base(searcher, questions.encode, names)
    finally:
        generation.close()


def _content(document: Document) -> str:
    title = " ".join(document.title.split())
    if not title:
        return document.text
    if document.markdown:
        return f"# {title}\n\n{document.text}"
    return f"{title}\n{'=' * max(3, len(title))}\n\n{document.text}"
