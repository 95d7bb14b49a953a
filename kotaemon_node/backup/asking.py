"""Opens restored generations with the pods' own searcher, and asks them their probe questions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.backup.drill import Answers, Scratch
from kotaemon_node.backup.listing import PROBES_FILE
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.domain.lineage import mean_recall
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.retrieval.loading import GenerationLoader
from kotaemon_node.retrieval.manifests import ManifestReader
from kotaemon_node.retrieval.opening import SearcherFactory
from kotaemon_node.retrieval.searcher import Searcher

_QUESTIONS_MAX: Final = 200


class Asking:
    """``drill.Ask`` with an encoder and the keys that are trusted."""

    def __init__(self, encoder: Callable[[], Encoder], verifier: Verifier, *, tenant: str) -> None:
        """``encoder`` is made when the first generation is opened; it may raise ``NodeError``."""
        self._encoder = encoder
        self._verifier = verifier
        self._tenant = tenant

    def __call__(self, scratch: Scratch, generations: Mapping[str, int]) -> Sequence[Answers]:
        """Open and ask the newest generation of each knowledge base."""
        tasks = ThreadTasks()
        manifests = ManifestReader(scratch.artifacts, self._verifier, tenant=self._tenant)
        loader = GenerationLoader(
            scratch.artifacts,
            FaissSegmentFormat(),
            self._verifier,
            tasks=tasks,
            tenant=self._tenant,
        )
        searchers = SearcherFactory(lambda _: self._encoder(), tasks=tasks)
        answers: list[Answers] = []
        for kb, number in sorted(generations.items()):
            try:
                manifest = manifests.read(kb, number)
                if manifest is None:
                    answers.append(Answers(kb, number, 0, None, None, "its manifest is missing"))
                    continue
                probes = list(_probes(scratch.documents, kb))
                generation = loader.open(manifest)
                try:
                    # Its own passages' questions first: what cannot be searched raises here.
                    searcher = searchers.warmed(generation)
                    answers.append(_asked(searcher, manifest, probes))
                finally:
                    generation.close()
            except (NodeError, EncoderSetupError, OSError, ValueError) as error:
                answers.append(Answers(kb, number, 0, None, None, str(error)))
        return answers


def _asked(
    searcher: Searcher, manifest: Manifest, probes: Sequence[tuple[str, frozenset[str]]]
) -> Answers:
    known = {entry.document for entry in manifest.documents}
    recalls: list[float] = []
    for question, documents in probes:
        expected = documents & known
        if not expected:
            continue  # deleted by wish: no generation answers it
        hits = searcher.search(question, top_k=limits.TOP_K_DEFAULT).hits
        found = {hit.passage.document for hit in hits} & expected
        recalls.append(len(found) / len(expected))
    recall = sum(recalls) / len(recalls) if recalls else None
    before = mean_recall(manifest)
    problem = None
    if recalls and not any(recalls):
        problem = f"none of its {len(recalls)} probe questions finds what it has to find"
    return Answers(manifest.kb, manifest.generation, len(recalls), recall, before, problem)


def _probes(documents: Path, kb: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the probes of a knowledge base; none where its file is not as the gate reads it."""
    path = documents / ("" if kb == DEFAULT_KNOWLEDGE_BASE else kb) / PROBES_FILE
    try:
        if path.stat().st_size > limits.PROBES_FILE_BYTES_MAX:
            return
        said: Any = yaml.safe_load(path.read_text("utf-8"))
        rows = [(str(row["question"]), frozenset(row["documents"])) for row in said["probes"]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        return
    yield from rows[:_QUESTIONS_MAX]
