"""What a closeness means is told by its closeness to others."""

from pathlib import Path

import numpy as np
import pytest

from kotaemon_node.retrieval.background import (
    SAMPLE_ROWS,
    Contrast,
    background_of,
    everyday_background,
)
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge import open_generation


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


QUESTION = {"all": unit(1.0, 0.0)}


def test_contrast_is_nothing_for_the_usual_and_one_for_the_same() -> None:
    usual = unit(0.6, 0.8)
    contrast = Contrast(QUESTION, {("all", "en"): np.stack([usual] * 8)})
    assert contrast.of(0.6, space="all", language="en") == pytest.approx(0.0, abs=1e-6)
    assert contrast.of(1.0, space="all", language="en") == pytest.approx(1.0)
    assert contrast.of(0.8, space="all", language="en") == pytest.approx(0.5)
    assert contrast.of(0.2, space="all", language="en") == pytest.approx(-1.0)


def test_a_language_is_judged_by_its_own_and_a_rare_one_by_all() -> None:
    background = {
        ("all", "zh"): np.stack([unit(0.6, 0.8)] * 8),
        ("all", None): np.stack([unit(0.8, 0.6)] * 3),
    }
    contrast = Contrast(QUESTION, background)
    assert contrast.of(0.6, space="all", language="zh") == pytest.approx(0.0, abs=1e-6)
    assert contrast.of(0.8, space="all", language="en") == pytest.approx(0.0, abs=1e-6)


def test_without_any_background_closeness_stands_for_itself() -> None:
    contrast = Contrast(QUESTION, {("other", "en"): np.stack([unit(1.0, 1.0)])})
    assert contrast.of(0.4, space="all", language="en") == pytest.approx(0.4)


def test_the_background_is_a_sample_of_what_lives_beside_everyday_sentences(
    tmp_path: Path,
) -> None:
    encoder = HashingEncoder()
    everyday = everyday_background(encoder)
    assert {key: len(rows) for key, rows in everyday.items()} == {
        ("all", "en"): 8,
        ("all", "zh"): 8,
        ("all", None): 16,
    }
    documents = {f"{number}.md": f"lamp number {number}" for number in range(200)}
    generation = open_generation(tmp_path, [documents], encoder, deleted=set(list(documents)[:150]))
    background = background_of(generation, everyday)
    assert len(background["all", "en"]) == 8 + 50
    assert len(background["all", "zh"]) == 8
    whole = background_of(open_generation(tmp_path, [documents], encoder), everyday)
    assert len(whole["all", "en"]) == 8 + SAMPLE_ROWS
