"""Measures what a swap of generations costs searches: the goal is a p99 of at most 1.1 times.

    python -m load.bench.swap --out load/results/swap

One worker is asked without a pause by several clients. Rounds in which its generation changes
every two seconds lie between rounds in which nothing changes, in an order drawn anew for each
block; every block has two quiet rounds (A/A), and how far those lie apart is what this machine
cannot tell. The generations were built before, and the coordinator is stopped: what is measured is
the swap, not the build beside it. Each answer is checked: two documents change together in every
generation, and both must be of the one that the answer names.
"""

import argparse
import http.client
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import redis
import requests

from coordinator.catalog import Catalog, reference
from kotaemon_node.adapters.redis import connect, keys
from kotaemon_node.adapters.redis.bus import RedisStreamsBus
from kotaemon_node.adapters.redis.pointer import RedisGenerationPointer
from kotaemon_node.adapters.signing import TrustedKeys, read_signing_key, read_trusted_keys
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, KnowledgeUpdated
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.local import control
from kotaemon_node.ports.events import Message
from load import surroundings
from load.bench.swap_figures import Asked, figures, report, within_goal
from load.clients import Clients
from load.kept import keep
from tests.cluster import Cluster

KB = "default"
TENANT = "default"
CLIENTS = 4
ROUND_S = 6.0
SWAP_EVERY_S = 2.0
SWAPS = int(ROUND_S / SWAP_EVERY_S)
ARMS = ("quiet", "quiet again", "swapping")
TIMEOUT_S = 30.0
POLL_S = 0.03
# Both change in every generation; the question finds both.
MARKED = {"lamp.md": "Meteor lamp", "desk.md": "Meteor desk"}
ANEW = {"ANSWER_CACHE_TTL_S": "0"}  # each question is to be searched for
QUESTION = "How much do the Meteor lamp and the Meteor desk cost today?"
OTHERS = tuple(f"What is the warranty of article {number}?" for number in range(0, 400, 7))
_PRICE = re.compile(r"costs (\d+) dollars")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Generations that the worker has not seen, oldest first, and the price that each one says."""

    refs: Sequence[GenerationRef]
    price: dict[int, int]
    passages: int
    segments: int


def write_corpus(folder: Path, *, documents: int) -> None:
    """Write articles that are alike but not the same."""
    chance = random.Random(1)
    words = ("oak", "steel", "linen", "glass", "cork", "brass", "wool", "clay", "bamboo", "felt")
    for number in range(documents):
        parts = [f"# Article {number}\n"]
        for part in ("Material", "Care", "Warranty", "Delivery"):
            chosen = ", ".join(chance.sample(words, 4))
            parts.append(
                f"## {part}\n\nFor the {part.lower()} of article {number} these matter: {chosen}. "
                f"Ask for form {chance.randint(100, 999)} within {chance.randint(2, 60)} days.\n"
            )
        (folder / f"article-{number}.md").write_text("\n".join(parts), "utf-8")


def write_revision(folder: Path, number: int) -> None:
    """Give the marked documents the price of this revision."""
    for file, name in MARKED.items():
        text = f"# {name}\n\nThe {name} costs {1000 + number} dollars today.\n"
        (folder / file).write_text(text, "utf-8")


def prepare(cluster: Cluster, knowledge: Path, *, generations: int) -> Prepared:
    """Have ``generations`` built while no worker looks on."""
    store = FileArtifactStore(cluster.folder.artifacts)
    catalog = Catalog(store, trusted(cluster), tenant=TENANT)
    price: dict[int, int] = {}
    first = catalog.newest(KB).number
    assert cluster.command("stop", "worker-0").returncode == 0
    for revision in range(1, generations + 1):
        before = _marked(catalog)
        write_revision(knowledge, revision)
        # The two files may be caught apart: then only the generation after that has both.
        cluster.wait_until(
            lambda before=before: not before & _marked(catalog), what="both are published"
        )
        price[catalog.newest(KB).number] = 1000 + revision
        if revision % 10 == 0:
            print(f"  {revision} of {generations} generations are built", flush=True)
    assert cluster.command("stop", "coordinator").returncode == 0
    numbers = [number for number in sorted(price) if number > first]
    manifests = [catalog.manifest(KB, number) for number in numbers]
    newest = manifests[-1]
    assert newest is not None
    return Prepared(
        [reference(manifest) for manifest in manifests if manifest is not None],
        price,
        sum(entry.passages for entry in newest.documents),
        len(newest.segments),
    )


def trusted(cluster: Cluster) -> TrustedKeys:
    """Return what knows the key that the cluster made for itself."""
    key = read_signing_key(cluster.folder.path / "keys" / "signing.pem")
    return read_trusted_keys("", own=key)


def _marked(catalog: Catalog) -> set[str]:
    """Return the revisions of the marked documents in the newest generation."""
    manifest = catalog.newest(KB).manifest
    documents = manifest.documents if manifest else ()
    return {f"{at.document} {at.revision}" for at in documents if at.document in MARKED}


def _indexed(cluster: Cluster) -> bool:
    shown = requests.get(f"{cluster.pod_url('coordinator')}/readyz", timeout=TIMEOUT_S).json()
    at = shown["knowledge"].get(KB)
    return at is not None and not at["documents"]["waiting"]


class Publishing:
    """Says that a generation is current, as the coordinator does it."""

    def __init__(self, port: int) -> None:
        store = connect(f"redis://127.0.0.1:{port}/0")
        self._pointer = RedisGenerationPointer(store)
        self._bus = RedisStreamsBus(store, clock=SystemClock())
        self._client = redis.Redis(port=port)

    def begin_at(self, ref: GenerationRef) -> None:
        """Point to an old generation, which only a pod without any would take."""
        self._client.delete(keys.knowledge_bases(TENANT))
        self.publish(ref)

    def publish(self, ref: GenerationRef) -> None:
        """Point to ``ref`` and tell the pods."""
        assert self._pointer.publish(TENANT, ref)
        event = KnowledgeUpdated(
            event_id=str(ref.generation),
            tenant=TENANT,
            kb=ref.kb,
            generation=ref.generation,
            parent=None,
            manifest=ref.manifest,
            sha256=ref.digest,
            at="",
            trace_id="",
        )
        value = orjson.dumps(asdict(event))
        self._bus.publish(Message(topic=KNOWLEDGE_UPDATED, key=ref.kb, value=value))


class Searchers(Clients):
    """Ask one pod without a pause, each on a connection of its own."""

    def __init__(self, port: int, price: dict[int, int], *, clients: int, seed: int) -> None:
        super().__init__(clients=clients, seed=seed)
        self._port = port
        self._price = price
        self.block = 0
        self.asked: list[Asked] = []

    def _ask(self, chance: random.Random) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        while not self._stopped.is_set():
            arm, block = self.arm, self.block
            marked = chance.random() < 0.5
            question = QUESTION if marked else chance.choice(OTHERS)
            began_s = time.perf_counter()
            try:
                connection.request("GET", f"/v1/search?q={quote(question)}&top_k=5")
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection.close()
                continue
            took_s = time.perf_counter() - began_s
            if answer.status != 200:
                self.errors.append(f"{answer.status} {body[:200]!r}")
                continue
            found = json.loads(body)
            if marked:
                self._check(found)
            # What began in one round and ended in another belongs to none.
            if arm and (arm, block) == (self.arm, self.block):
                self.asked.append(Asked(arm, block, took_s))

    def _check(self, found: dict[str, Any]) -> None:
        expected = self._price.get(found["generation"])
        prices = [
            int(price) for passage in found["passages"] for price in _PRICE.findall(passage["text"])
        ]
        if set(prices) != {expected} or len(prices) < len(MARKED):
            self.errors.append(
                f"generation {found['generation']} says {prices}, not {expected} twice"
            )


def one_round(
    publishing: Publishing, url: str, coming: Iterator[GenerationRef], *, swapping: bool
) -> list[float]:
    """Return after how many seconds each generation was served; none where nothing changes.

    The pod is asked for its generation in all rounds alike: asking costs it something, too.
    """
    began_s = swap_s = began_swap_s = time.perf_counter()
    wanted = 0
    times_s: list[float] = []
    while (now_s := time.perf_counter()) < began_s + ROUND_S:
        if swapping and not wanted and len(times_s) < SWAPS and now_s >= swap_s:
            ref = next(coming)
            began_swap_s, wanted, swap_s = now_s, ref.generation, now_s + SWAP_EVERY_S
            publishing.publish(ref)
        if served(url) >= wanted > 0:
            times_s.append(time.perf_counter() - began_swap_s)
            wanted = 0
        time.sleep(POLL_S)
    assert not wanted, f"generation {wanted} was not served in its round"
    return times_s


def served(url: str) -> int:
    """Return the generation that a pod serves."""
    shown = requests.get(f"{url}/readyz", timeout=TIMEOUT_S).json()
    return int(shown["generations"][KB])


@contextmanager
def begun(cluster: Cluster, prepared: Prepared) -> Iterator[Publishing]:
    """Start the worker with the oldest of the prepared generations."""
    publishing = Publishing(control.running_cluster(cluster.folder).redis_port)
    publishing.begin_at(prepared.refs[0])
    assert cluster.command("start", "worker-0").returncode == 0
    url = cluster.pod_url("worker-0")
    cluster.wait_until(lambda: _ready(url), what="the worker is ready")
    assert served(url) == prepared.refs[0].generation
    yield publishing


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=TIMEOUT_S).ok
    except requests.RequestException:
        return False


def measure(*, blocks: int, documents: int, seed: int) -> dict[str, Any]:
    """Run everything; return the results."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="kn-swap-") as folder:
        knowledge = Path(folder) / "knowledge"
        knowledge.mkdir()
        write_corpus(knowledge, documents=documents)
        write_revision(knowledge, 0)
        print(f"→ {documents} documents are indexed", flush=True)
        with Cluster(
            Path(folder) / "data", workers=1, knowledge=knowledge, environment=ANEW
        ) as cluster:
            cluster.wait_until(lambda: _indexed(cluster), what="all is indexed", timeout_s=900)
            prepared = prepare(cluster, knowledge, generations=blocks * SWAPS + 1)
            with begun(cluster, prepared) as publishing:
                url = cluster.pod_url("worker-0")
                port = int(url.rpartition(":")[2])
                coming = iter(prepared.refs[1:])
                times_s: list[float] = []
                with Searchers(port, prepared.price, clients=CLIENTS, seed=seed) as clients:
                    time.sleep(ROUND_S)  # the first searches are slower
                    for block in range(blocks):
                        clients.block = block
                        for arm in chance.sample(ARMS, len(ARMS)):
                            clients.arm = arm
                            times_s += one_round(
                                publishing, url, coming, swapping=arm == "swapping"
                            )
                            clients.arm = ""
                        print(f"  block {block + 1} of {blocks}", flush=True)
    return {
        "seed": seed,
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "documents": documents + len(MARKED),
        "passages": prepared.passages,
        "segments": prepared.segments,
        "clients": CLIENTS,
        "round_s": ROUND_S,
        "swap_every_s": SWAP_EVERY_S,
        "errors": clients.errors,
        **figures(clients.asked, times_s, seed=seed),
    }


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="this, .json and .md")
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--documents", type=int, default=1_200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = measure(blocks=asked.blocks, documents=asked.documents, seed=asked.seed)
    text = report(found)
    keep(asked.out, found, text)
    print(text)
    return 0 if within_goal(found) else 1


if __name__ == "__main__":
    sys.exit(main())
