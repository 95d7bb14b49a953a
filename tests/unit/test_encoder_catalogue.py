"""The table of models: complete, and found by every name that people use."""

import re

import pytest

from kotaemon_node.adapters.encoder.catalogue import (
    DEFAULT_MODEL,
    MODEL_FILE,
    MODELS,
    TOKENIZER_FILE,
    Model,
    known_model,
    names_in,
)
from kotaemon_node.adapters.encoder.errors import UnknownModel
from kotaemon_node.adapters.encoder.factory import make_encoder, models_to_install
from kotaemon_node.domain.ids import ID_PATTERN


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_row_pins_its_files_and_sources(model: Model) -> None:
    assert {file.name for file in model.files} == {MODEL_FILE, TOKENIZER_FILE}
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in model.files)
    assert re.fullmatch("[0-9a-f]{40}", model.hub.revision)
    assert re.fullmatch(ID_PATTERN, model.space)
    if model.jar is not None:
        assert re.fullmatch("[0-9a-f]{64}", model.jar.sha256)
        assert len(model.jar.coordinates.split(":")) == 3
        assert all(file.jar_entry for file in model.files)


def test_no_two_models_share_a_space_or_a_fingerprint() -> None:
    assert len({model.space for model in MODELS}) == len(MODELS)
    assert len({model.fingerprint for model in MODELS}) == len(MODELS)


@pytest.mark.parametrize(
    "name",
    ["all-MiniLM-L6-v2", "all-minilm-l6-v2", "sentence-transformers/all-MiniLM-L6-v2"],
)
def test_a_model_is_found_by_its_name_and_its_alias(name: str) -> None:
    assert known_model(name).name == "all-MiniLM-L6-v2"


def test_the_empty_setting_is_the_default_which_speaks_both_languages() -> None:
    assert names_in("") == tuple(DEFAULT_MODEL.split("+"))
    spoken = frozenset().union(*(known_model(name).languages for name in names_in("")))
    assert spoken == {"en", "zh"}


def test_what_must_be_installed_follows_from_the_settings() -> None:
    assert models_to_install("", "onnx") == ("all-MiniLM-L6-v2", "bge-small-zh-v1.5")
    assert models_to_install("BAAI/bge-small-zh-v1.5", "onnx") == ("bge-small-zh-v1.5",)
    assert models_to_install("any/model", "torch") == ()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("gpt-9", "which knows all-MiniLM-L6-v2, bge-small-zh-v1.5"),
        ("all-MiniLM-L6-v2++bge-small-zh-v1.5", "joined by '+'"),
        ("all-MiniLM-L6-v2+all-MiniLM-L6-v2", "each once"),
        ("all-MiniLM-L6-v2+bge-small-en-v1.5", "before bge-small-en-v1.5 speak all its languages"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_what_would(
    setting: str, told: str, tmp_path
) -> None:
    with pytest.raises(UnknownModel, match=re.escape(told)):
        make_encoder(setting, "onnx", tmp_path, 1)
