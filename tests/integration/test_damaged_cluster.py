"""Bad generations on the running cluster: refused everywhere, the old one serves, then repaired."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from kotaemon_node.adapters.redis import RedisGenerationPointer, connect, keys
from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.domain.knowledge import GenerationRef, Manifest
from kotaemon_node.domain.signed_manifest import split
from kotaemon_node.retrieval.manifests import signed
from tests.cluster import Cluster
from tests.fakes.signing import STRANGER

CUPS = "# Cups\n\nThe Aurora cup holds 350 millilitres and costs 18 dollars.\n"
POTS = "# Teapots\n\nThe Borealis teapot costs 49 dollars.\n"


class Site:
    """A cluster of two pods, and a hand in its files."""

    def __init__(self, cluster: Cluster, knowledge: Path) -> None:
        self.cluster = cluster
        self.knowledge = knowledge
        row = cluster.row("redis")
        self.redis = connect(f"redis://127.0.0.1:{row['port']}/0")
        self.pointer = RedisGenerationPointer(self.redis)

    @property
    def ref(self) -> GenerationRef:
        return self.pointer.current("default")["default"]

    def path(self, name: str) -> Path:
        return self.cluster.folder.artifacts / name

    def put(self, name: str, content: bytes) -> None:
        """Put a file in the place of another: who has the old one open keeps it."""
        aside = self.cluster.folder.path / "aside"
        aside.write_bytes(content)
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(aside, self.path(name))

    def point(self, ref: GenerationRef) -> None:
        key = keys.knowledge_bases("default")
        self.redis.client.hset(key, ref.kb, orjson.dumps(asdict(ref)))

    def pods(self) -> list[dict[str, Any]]:
        pods: list[dict[str, Any]] = requests.get(
            f"{self.cluster.url}/v1/cluster", timeout=30
        ).json()["pods"]
        return pods

    def served(self) -> set[int]:
        # A pod's first heartbeat may come before it serves anything.
        served = (pod["generations"].get("default") for pod in self.pods())
        return {at["generation"] if at else 0 for at in served}

    def answers(self, question: str) -> list[str]:
        ports = self.cluster.worker_ports()
        return [
            requests.get(f"http://127.0.0.1:{port}/ask", params={"q": question}, timeout=60).json()[
                "answer"
            ]
            for port in ports
        ]

    def refusals(self, reason: str) -> list[bool]:
        """Return for each pod whether its metrics count a refusal for this reason."""
        row = f'kotaemon_generation_refused_total{{kb="default",reason="{reason}"}}'
        ports = self.cluster.worker_ports()
        texts = [
            requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text for port in ports
        ]
        return [row in text for text in texts]

    def wait_served(self, number: int) -> float:
        return self.cluster.wait_until(
            lambda: self.served() == {number} and not any(pod["refused"] for pod in self.pods()),
            what=f"both pods serve generation {number}",
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("damaged")
    knowledge = folder / "knowledge"
    knowledge.mkdir()
    (knowledge / "cups.md").write_text(CUPS, encoding="utf-8")
    with Cluster(folder / "data", workers=2, knowledge=knowledge) as cluster:
        site = Site(cluster, knowledge)
        (knowledge / "teapots.md").write_text(POTS, encoding="utf-8")
        cluster.wait_until(lambda: site.served() == {2}, what="two generations")
        yield site


def flipped(manifest: Manifest, raw: bytes) -> bytes:
    return raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]


def unsigned(manifest: Manifest, raw: bytes) -> bytes:
    return manifest.to_json()


def of_a_stranger(manifest: Manifest, raw: bytes) -> bytes:
    return signed(manifest, STRANGER)


def replayed(manifest: Manifest, raw: bytes) -> bytes:
    return raw


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (flipped, "bad_signature"),
        pytest.param(unsigned, "unsigned", marks=pytest.mark.long),
        pytest.param(of_a_stranger, "unknown_key", marks=pytest.mark.long),
        pytest.param(replayed, "misplaced", marks=pytest.mark.long),
    ],
)
def test_a_forged_generation_is_refused_by_all_and_replaced_by_a_good_one(
    site: Site, forge: Callable[[Manifest, bytes], bytes], reason: str
) -> None:
    # Given nobody who would repair it
    old = site.ref
    assert site.cluster.command("stop", "coordinator").returncode == 0
    # When something that is no good lies under the next number and the pointer leads there
    raw = site.path(old.manifest).read_bytes()
    manifest = replace(Manifest.from_json(split(raw).payload), generation=old.generation + 1)
    envelope = replace(split(raw), payload=manifest.to_json()).to_bytes()
    forged = forge(manifest, raw if forge is replayed else envelope)
    name = manifest_name("default", "default", old.generation + 1)
    site.put(name, forged)
    digest = old.digest if forge is replayed else manifest.digest
    site.point(GenerationRef("default", old.generation + 1, digest, name))
    for port in site.cluster.worker_ports():  # a request makes pods look before their time
        requests.get(
            f"http://127.0.0.1:{port}/v1/search",
            params={"q": "cup", "min_generation": old.generation + 1},
            timeout=30,
        )
    # Then every pod refuses it, says so wherever people look, and serves on
    site.cluster.wait_until(
        lambda: all(pod["refused"] for pod in site.pods()), what="both pods refuse it"
    )
    assert site.served() == {old.generation}
    assert all(pod["ready"] for pod in site.pods())
    assert site.refusals(reason) == [True, True]
    for port in site.cluster.worker_ports():
        told = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).json()
        assert told["refused"]["default"].startswith(f"generation {old.generation + 1}: ")
    assert all("18 dollars" in answer for answer in site.answers("What does the Aurora cup cost?"))
    # And a coordinator publishes a good one above it
    assert site.cluster.command("start", "coordinator").returncode == 0
    site.wait_served(old.generation + 2)
    assert all("18 dollars" in answer for answer in site.answers("What does the Aurora cup cost?"))


def test_a_damaged_segment_is_replaced_while_pods_serve_on(site: Site) -> None:
    # Given a running leader, and pods that have the good files open
    old = site.ref
    manifest = Manifest.from_json(split(site.path(old.manifest).read_bytes()).payload)
    names = [
        path.relative_to(site.cluster.folder.artifacts).as_posix()
        for entry in manifest.segments
        for path in site.path("tenants/default/kb/default/segments").glob(f"{entry.name}/*.faiss")
    ]
    for name in names:
        content = site.path(name).read_bytes()
        site.put(name, content[: len(content) // 2])
    took_s = site.wait_served(old.generation + 1)
    print(f"damaged segments were replaced after {took_s:.1f} s")
    # A pod that starts now finds everything whole
    site.cluster.kill("worker-0")
    site.cluster.wait_ready()
    site.wait_served(old.generation + 1)
    assert all("49 dollars" in answer for answer in site.answers("What does the teapot cost?"))
