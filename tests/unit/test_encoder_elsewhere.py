"""Whoever uses an encoder elsewhere finds out when another model answers at its address."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.encoder import SpaceVectors
from kotaemon_node.retrieval.indexed import check_same_model, some_of_generation
from kotaemon_node.retrieval.opening import SearcherFactory
from tests.fakes.coordination import SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge import open_generation

LAMPS = {"lamps.md": "Lamps ship in two days.\n\nA lamp may be returned within 30 days."}


class Elsewhere(HashingEncoder):
    """Waits instead of computing; ``other`` is another model under the same name."""

    elsewhere = True

    def __init__(self, *, other: bool = False) -> None:
        super().__init__()
        self.other = other
        self.threads: set[int] = set()
        self.passages = 0

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        self.passages += 1
        self.threads.add(threading.get_ident())
        # Titles are the files' names in these tests, and were not encoded with the texts.
        texts = [text.partition("\n")[2] or text for text in texts]
        return super().encode_passages([text[::-1] for text in texts] if self.other else texts)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        self.threads.add(threading.get_ident())
        return super().encode_queries(texts)


def factory(encoder: HashingEncoder) -> SearcherFactory:
    return SearcherFactory(lambda _name: encoder, tasks=ThreadTasks())


def test_a_generation_of_this_model_is_served_and_tried_once(tmp_path: Path) -> None:
    encoder = Elsewhere()
    made = factory(encoder)

    with_first = made.warmed(open_generation(tmp_path, [LAMPS]))
    tried = encoder.passages
    made.warmed(open_generation(tmp_path, [LAMPS]))

    assert with_first.search("lamps").hits
    assert encoder.passages == tried == 2  # everyday sentences, and the passages
    # Sockets belong to tasks: no native thread has called it.
    assert encoder.threads == {threading.get_ident()}


def test_another_model_under_the_name_is_refused_until_it_is_the_right_one(tmp_path: Path) -> None:
    encoder = Elsewhere(other=True)
    made = factory(encoder)

    for _ in range(2):
        with pytest.raises(CorruptArtifact, match=r"not the model .* ENCODER_URL"):
            made.warmed(open_generation(tmp_path, [LAMPS]))
    encoder.other = False

    assert made.warmed(open_generation(tmp_path, [LAMPS])).search("lamps").hits


def test_nothing_to_compare_is_no_disagreement(tmp_path: Path) -> None:
    empty = open_generation(tmp_path, [LAMPS], deleted=["lamps.md"])

    check_same_model(some_of_generation(empty), Elsewhere(other=True))


def test_an_encoder_here_is_not_tried(tmp_path: Path) -> None:
    encoder = HashingEncoder()
    calls: list[Any] = []
    encode: Callable[..., Any] = encoder.encode_passages
    encoder.encode_passages = lambda texts: calls.append(texts) or encode(texts)  # type: ignore[method-assign]

    factory(encoder).warmed(open_generation(tmp_path, [LAMPS]))

    assert len(calls) == 1


def test_the_coordinator_builds_all_anew_when_another_model_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world)
    encode = coordinator.encoder.encode_passages
    encoded: list[str] = []

    def of_another_model(texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        encoded.extend(texts)
        return encode([text[::-1] for text in texts])

    monkeypatch.setattr(coordinator.encoder, "elsewhere", True, raising=False)
    world.write({"a.md": "Lamps ship in two days."})
    coordinator.settle()
    world.write({"b.md": "Chairs have a warranty."})
    coordinator.settle()
    assert world.manifest().generation == 2

    monkeypatch.setattr(coordinator.encoder, "encode_passages", of_another_model)
    world.write({"c.md": "Tables are heavy."})
    coordinator.settle(steps=5)

    assert world.manifest().generation == 3
    assert sorted(world.texts()) == [
        "Chairs have a warranty.",
        "Lamps ship in two days.",
        "Tables are heavy.",
    ]
    # All three were encoded by the model that answers now, and so nothing is of two models.
    assert {"a", "b", "c"} <= {text.partition("\n")[0] for text in encoded[1:]}
