"""The list of generations: each manifest is read once, however many are kept."""

from dataclasses import replace
from pathlib import Path

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.retrieval.loading import GenerationLoader
from kotaemon_node.retrieval.manifests import signed
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.signing import SIGNER, VERIFIER


class CountedVerifier:
    """Counts the manifests that were verified, and so parsed."""

    count = 0

    def check(self, message: bytes, *, key_id: str, signature: bytes) -> None:
        self.count += 1
        VERIFIER.check(message, key_id=key_id, signature=signature)


def test_as_many_manifests_as_retention_keeps_are_read_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write({"a.md": "One."})
    SteppedCoordinator(world).settle()
    first = world.manifest()
    for number in range(2, limits.MANIFESTS_KEPT_MAX + 1):
        raw = signed(replace(first, generation=number), SIGNER)
        (tmp_path / "artifacts" / manifest_name(TENANT, "default", number)).write_bytes(raw)
    verifier = CountedVerifier()
    loader = GenerationLoader(
        world.store, FaissSegmentFormat(), verifier, tasks=ThreadTasks(), tenant=TENANT
    )
    for _ in range(2):
        assert len(loader.rows("default")) == limits.MANIFESTS_KEPT_MAX
    assert verifier.count == limits.MANIFESTS_KEPT_MAX
