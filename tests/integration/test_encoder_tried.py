"""Real models are tried on their probes: whole ones pass, and what is broken does not start."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from kotaemon_node.adapters.encoder.agreement import EncoderDisagrees
from kotaemon_node.adapters.encoder.factory import make_encoder, models_to_install
from kotaemon_node.adapters.encoder.install import install_models

MODEL_DIR = Path(__file__).parents[2] / ".models"


@pytest.fixture(scope="module")
def model_dir() -> Path:
    """The installed models; a machine that has them needs no network here."""
    install_models(models_to_install("", "onnx"), MODEL_DIR, lambda _step: None)
    return MODEL_DIR


def test_both_default_models_agree_with_some_room_left(model_dir: Path) -> None:
    told: dict[str, float] = {}

    make_encoder("", "onnx", model_dir, 1, told=told.__setitem__)

    assert told.keys() == {"all-MiniLM-L6-v2", "bge-small-zh-v1.5"}
    assert min(told.values()) >= 0.983


def test_a_tokenizer_that_reads_otherwise_is_not_taken(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Tokenizer.from_file

    class WithoutLowerCase:
        @staticmethod
        def from_file(path: str) -> Tokenizer:
            tokenizer = read(path)
            tokenizer.normalizer = None
            return tokenizer

    monkeypatch.setattr("kotaemon_node.adapters.encoder.onnx.Tokenizer", WithoutLowerCase)

    with pytest.raises(EncoderDisagrees, match="not the model it should be"):
        make_encoder("all-MiniLM-L6-v2", "onnx", model_dir, 1)


@pytest.mark.parametrize("model", ["all-MiniLM-L6-v2", "bge-small-zh-v1.5"])
def test_a_runtime_that_computes_otherwise_is_not_taken(
    model: str, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_session = onnxruntime.InferenceSession

    class Saturating:
        """As if products that do not fit into their register were cut off."""

        def __init__(self, *given: Any, **options: Any) -> None:
            self._session = make_session(*given, **options)
            self.get_inputs = self._session.get_inputs

        def run(self, names: Any, feeds: Any) -> Any:
            (hidden, *others) = self._session.run(names, feeds)
            return [np.clip(hidden, -0.3, 0.3), *others]

    monkeypatch.setattr("onnxruntime.InferenceSession", Saturating)

    with pytest.raises(EncoderDisagrees, match="not the model it should be"):
        make_encoder(model, "onnx", model_dir, 1)
