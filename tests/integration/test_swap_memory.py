"""What a generation and a swap take of memory, measured on 40 MB in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.retrieval.manifests import ManifestReader
from kotaemon_node.retrieval.memory import own_bytes
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge import TENANT, Documents, Publisher
from tests.fakes.signing import VERIFIER

# So few rows that vectors are compared one by one: of lists only those pages count that were read.
DOCUMENTS, PARAGRAPHS = 195, 100

# Prints for each generation: bytes of its own, of mapped files, and the most at any moment, all
# beyond what the process had when it served the first one.
MEASURING = """
import json, sys, threading, time
from pathlib import Path
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.retrieval.library import KnowledgeLibrary
from tests.fakes.knowledge import TENANT, FakePointer
from tests.fakes.encoder import HashingEncoder
from tests.fakes.signing import VERIFIER

def memory():
    rows = (line.split() for line in open("/proc/self/smaps_rollup"))
    found = {row[0]: int(row[1]) * 1024 for row in rows if row[0].endswith(":")}
    return found["Pss:"], found["Pss_Anon:"], found["Pss_File:"]

pointer, encoder = FakePointer(), HashingEncoder(dimension=384)
library = KnowledgeLibrary(
    store=FileArtifactStore(Path(sys.argv[1])), segment_format=FaissSegmentFormat(),
    verifier=VERIFIER, pointer=pointer, encoder_for=lambda name: encoder,
    tasks=ThreadTasks(native_threads=1), clock=SystemClock(), tenant=TENANT,
)
base, told, ended = None, [], threading.Event()
peak = 0

def watch():
    global peak
    while not ended.wait(0.002):
        peak = max(peak, memory()[0])

threading.Thread(target=watch, daemon=True).start()
for fields in json.loads(sys.argv[2]):
    peak = 0
    pointer.refs["default"] = GenerationRef(**fields)
    library.reconcile()
    assert library.served()["default"].generation == fields["generation"], library.refused
    library.search("default", "how many words", top_k=4)
    now = memory()
    base = base or now
    most = max(peak, now[0]) - base[0]
    told.append({"own": now[1] - base[1], "mapped": now[2] - base[2], "peak": most})
ended.set()
print(json.dumps(told))
"""


def documents(tag: str) -> Documents:
    """19,500 short paragraphs, of other words for another tag."""
    drawn = np.random.default_rng(len(tag)).integers(0, 5_000, (DOCUMENTS, PARAGRAPHS, 10))
    return {
        f"{tag}-{number}.md": "\n\n".join(
            " ".join(f"{tag}{word}" for word in paragraph) for paragraph in of_document.tolist()
        )
        for number, of_document in enumerate(drawn)
    }


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, int]], Publisher]:
    """Serve a tiny generation, a large one, one with a changed document, and one built anew."""
    publisher = Publisher(tmp_path_factory.mktemp("swap"), encoder=HashingEncoder(dimension=384))
    large = documents("a")
    changed = {"a-7.md": "One paragraph of a small change."}
    refs: list[GenerationRef] = [
        publisher.publish({"tiny.md": "Few words."}),
        publisher.publish(large),
        publisher.publish(large, changed),
        publisher.publish(documents("bb")),
    ]
    fields = [
        {
            "kb": ref.kb,
            "generation": ref.generation,
            "digest": ref.digest,
            "manifest": ref.manifest,
        }
        for ref in refs
    ]
    root = publisher.store._root
    done = subprocess.run(
        [sys.executable, "-c", MEASURING, str(root), json.dumps(fields)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    for row in told:
        print({name: f"{value / 1e6:.1f} MB" for name, value in row.items()})
    return told, publisher


def test_a_small_change_takes_little_beside_one_generation(
    measured: tuple[list[dict[str, int]], Publisher],
) -> None:
    _, large, changed, rebuilt = measured[0]
    one = large["own"] + large["mapped"]
    assert one > 30e6
    print(f"small change {changed['peak'] / one:.2f}, full rebuild {rebuilt['peak'] / one:.2f}")
    assert changed["peak"] <= 1.15 * one
    # A full rebuild shares nothing: both are there until the last reader returns the old one
    assert rebuilt["peak"] <= 2.3 * one
    # and then the old one is gone.
    assert rebuilt["own"] + rebuilt["mapped"] <= 1.25 * one


def test_what_is_asked_for_before_loading_is_what_it_takes(
    measured: tuple[list[dict[str, int]], Publisher],
) -> None:
    told, publisher = measured
    form = FaissSegmentFormat()
    manifest = ManifestReader(publisher.store, VERIFIER, tenant=TENANT).read("default", 2)
    assert manifest is not None
    own = own_bytes(manifest, manifest.segments, form)
    mapped = sum(entry.size_bytes for entry in manifest.segments)
    print(f"own {told[1]['own'] / 1e6:.1f} of {own / 1e6:.1f} MB asked for")
    assert told[1]["own"] <= own <= 6 * told[1]["own"]
    assert told[1]["mapped"] <= mapped <= 1.5 * told[1]["mapped"]
