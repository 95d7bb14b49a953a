"""A search over HTTP has the order of a reranker; a pinned generation is searched as it is."""

from collections.abc import Sequence
from pathlib import Path

from kotaemon_node.adapters.faiss.segment_format import FaissSegmentFormat
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.retrieval.library import KnowledgeLibrary
from kotaemon_node.retrieval.reranking import Reranking
from tests.fakes.knowledge import TENANT, Publisher
from tests.fakes.signing import VERIFIER

DOCUMENTS = {f"{name}.md": f"The {name} lamp has a warranty." for name in ("red", "blue", "green")}


class Backwards:
    """A reranker to which the last is the best."""

    name = "backwards"

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        return [float(place) for place in range(len(passages))]


def test_the_order_of_a_search_is_the_rerankers(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.publish(DOCUMENTS)
    library = KnowledgeLibrary(
        store=publisher.store,
        segment_format=FaissSegmentFormat(),
        verifier=VERIFIER,
        pointer=publisher.pointer,
        encoder_for=lambda _: publisher.encoder,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant=TENANT,
        reranking=Reranking(Backwards(), clock=SystemClock()),
    )
    library.reconcile()

    found = library.search("default", "warranty of the blue lamp", top_k=2)
    with library.pinned("default") as lent:
        plain = lent.search("warranty of the blue lamp", top_k=3)

    assert (found.reranker, plain.reranker) == ("backwards", "")
    assert plain.hits[0].passage.document == "blue.md"
    documents = [hit.passage.document for hit in plain.hits]
    assert [hit.passage.document for hit in found.hits] == documents[:0:-1]
