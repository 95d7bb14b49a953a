"""What S3 is trusted with and what not: conditions, lost answers, a coordinator that writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.store import s3_store
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from kotaemon_node.retrieval.library import KnowledgeLibrary
from tests.artifact_stores import TestBucket
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.signing import VERIFIER


def client_of(store: Any) -> Any:
    return store._bucket.client


@pytest.mark.parametrize("call", ["PutObject", "CompleteMultipartUpload"])
def test_a_server_that_ignores_conditions_is_refused(
    bucket: TestBucket, tmp_path: Path, call: str
) -> None:
    store = bucket.store(tmp_path)

    def ignore(request: Any, **_: Any) -> None:
        del request.headers["If-None-Match"]

    client_of(store).meta.events.register(f"before-sign.s3.{call}", ignore)
    with pytest.raises(OSError, match="ignores If-None-Match"):
        store.put_if_absent("x", b"content")
    assert store.get("x") is None


@pytest.mark.parametrize(
    ("call", "size"), [("put_object", 10), ("complete_multipart_upload", 6 * 1024 * 1024)]
)
def test_an_answer_that_was_lost_is_no_other_writer(
    bucket: TestBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, size: int
) -> None:
    # Given a client that repeats a request whose answer was lost, as it does by itself
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 * 1024 * 1024)
    store = bucket.store(tmp_path)
    store.put_if_absent("first", b"the server is tried by now")
    real: Callable[..., Any] = getattr(client_of(store), call)

    def twice(**how: Any) -> Any:
        real(**how)
        return real(**how)

    monkeypatch.setattr(client_of(store), call, twice)
    source = tmp_path / "source"
    source.write_bytes(b"x" * size)
    assert store.put_file_if_absent("x", source)
    # And another writer is still told that it came second
    monkeypatch.undo()
    assert not bucket.store(tmp_path).put_file_if_absent("x", source)


def test_a_bucket_that_is_not_there_is_told_and_not_repeated(
    bucket: TestBucket, tmp_path: Path
) -> None:
    lost = TestBucket(bucket.endpoint, "no-such-bucket-here", bucket.client)
    with pytest.raises(ArtifactsUnavailable, match="NoSuchBucket"):
        lost.store(tmp_path).put_if_absent("x", b"")


def test_a_coordinator_publishes_there_and_a_pod_serves_it(
    bucket: TestBucket, tmp_path: Path
) -> None:
    # Given a coordinator and a pod on two machines
    world = World(tmp_path)
    world.store = bucket.store(tmp_path / "coordinator")
    coordinator = SteppedCoordinator(world)
    pod = KnowledgeLibrary(
        store=bucket.store(tmp_path / "pod", writes=False),
        segment_format=FaissSegmentFormat(),
        verifier=VERIFIER,
        pointer=world.pointer,
        encoder_for=lambda name: coordinator.encoder,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant=TENANT,
    )

    def best(question: str) -> str:
        pod.reconcile()
        return pod.search("default", question, top_k=1).hits[0].passage.text

    world.write({"lamps.md": "Lamps ship in two days.", "chairs.md": "Chairs last for years."})
    coordinator.settle()
    assert "two days" in best("when do lamps ship")
    world.write({"lamps.md": "Lamps ship in three days."})
    coordinator.settle()
    assert "three days" in best("when do lamps ship")
    # And the pod can write nothing
    with pytest.raises(OSError, match="read only"):
        bucket.store(tmp_path / "pod", writes=False).put_if_absent("x", b"")
