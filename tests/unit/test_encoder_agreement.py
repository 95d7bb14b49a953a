"""Encoders are tried on probes before they serve: what computes something else is refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from kotaemon_node.adapters.encoder import factory
from kotaemon_node.adapters.encoder.agreement import (
    AGREEMENT_MIN,
    EncoderDisagrees,
    Probe,
    check_agreement,
    probes_of,
)
from kotaemon_node.adapters.encoder.catalogue import MODELS, known_model
from kotaemon_node.ports.encoder import SpaceVectors

MODEL = known_model("all-MiniLM-L6-v2")


class Remembering:
    """An encoder of one space that gives each probe its own vector, moved by ``noise``."""

    def __init__(self, model: str = MODEL.name, *, noise: float = 0.0) -> None:
        self._model = known_model(model)
        self._noise = noise
        self._known = {(probe.kind, probe.text): probe for probe in probes_of(model)}
        self.name = "remembering"
        self.spaces = {self._model.space: self._model.dimension}

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode("passage", texts)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode("query", texts)

    def _encode(self, kind: str, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        rows = np.stack([self._moved(self._known[kind, text]) for text in texts])
        numbers = np.arange(len(texts), dtype=np.int64)
        return {self._model.space: SpaceVectors(positions=numbers, vectors=rows)}

    def _moved(self, probe: Probe) -> np.ndarray:
        away = np.random.default_rng(len(probe.text)).normal(size=probe.vector.shape)
        away -= (away @ probe.vector) * probe.vector
        moved = probe.vector + self._noise * away / np.linalg.norm(away)
        return np.asarray(moved / np.linalg.norm(moved), dtype=np.float32)


def test_probes_are_unit_vectors_of_their_models_size() -> None:
    tried = [model for model in MODELS if probes_of(model.name)]

    # Of the others no full-precision weights could be had.
    assert [model.name for model in tried] == ["all-MiniLM-L6-v2", "bge-small-zh-v1.5"]
    for model in tried:
        probes = probes_of(model.name)
        assert len(probes) >= 6
        assert {len(probe.text) > 100 for probe in probes} == {True, False}
        assert all(probe.vector.shape == (model.dimension,) for probe in probes)
        assert all(np.linalg.norm(probe.vector) == pytest.approx(1, abs=1e-6) for probe in probes)
    assert {probe.kind for probe in probes_of("bge-small-zh-v1.5")} == {"query", "passage"}


@pytest.mark.parametrize("model", ["all-MiniLM-L6-v2", "bge-small-zh-v1.5"])
def test_an_encoder_that_agrees_is_told_with_its_lowest_cosine(model: str) -> None:
    told: dict[str, float] = {}

    check_agreement(Remembering(model, noise=0.15), model, told.__setitem__)

    assert told == {model: pytest.approx(1 / np.hypot(1, 0.15), abs=1e-3)}


def test_an_encoder_that_computes_something_else_is_refused_with_what_to_do() -> None:
    told: dict[str, float] = {}

    with pytest.raises(EncoderDisagrees, match=r"6 of 6 probes .*lowest 0\.9.*requirements"):
        check_agreement(Remembering(noise=0.25), MODEL.name, told.__setitem__)

    # Also where it is refused: the figure says by how much.
    assert told[MODEL.name] < AGREEMENT_MIN


def test_not_a_number_is_refused() -> None:
    with pytest.raises(EncoderDisagrees):
        check_agreement(Remembering(noise=float("nan")), MODEL.name, lambda *_: None)


def test_vectors_of_another_size_are_refused() -> None:
    with pytest.raises(EncoderDisagrees, match=r"lowest 0\.000"):
        check_agreement(_OfAnotherSize(), MODEL.name, lambda *_: None)


class _OfAnotherSize(Remembering):
    def _moved(self, probe: Probe) -> np.ndarray:
        return np.asarray([1, 0, 0], dtype=np.float32)


def test_no_encoder_leaves_the_factory_untried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = {
        "all-MiniLM-L6-v2": Remembering(),
        "bge-small-zh-v1.5": Remembering("bge-small-zh-v1.5", noise=0.4),
    }
    monkeypatch.setattr(factory, "OnnxEncoder", lambda model, **_: made[model.name])

    assert factory.make_encoder("all-MiniLM-L6-v2", "onnx", tmp_path, 1).name == "remembering"
    with pytest.raises(EncoderDisagrees, match="bge-small-zh"):
        factory.make_encoder("", "onnx", tmp_path, 1)
