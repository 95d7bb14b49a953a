"""A real cross-encoder of random weights: what the adapter makes of it, and when it gives up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.reranker import RerankerPlace, RerankerSetupError, make_reranker
from kotaemon_node.domain.limits import RERANK_TIMEOUT_S
from kotaemon_node.ports.reranker import Reranker, RerankerFailed

# Importing torch and its library takes half a minute of computing where nothing is compiled yet,
# and 800 MB: not while tests are collected.
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lamp", "chair", "warranty", "years", "two")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models ``tiny`` (one score) and ``classes`` (three)."""
    pytest.importorskip("sentence_transformers", reason="the extra torch is not installed")
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        BertTokenizerFast,
    )

    folder = tmp_path_factory.mktemp("models")
    (folder / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    for name, labels in (("tiny", 1), ("classes", 3)):
        torch.manual_seed(7)
        config = BertConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            num_labels=labels,
            initializer_range=1.0,
        )
        BertForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def made(models: Path, name: str, compute: Callable[..., Any] | None = None) -> Reranker:
    place = RerankerPlace(name, key="", model_dir=models, threads=1)
    found = make_reranker(place, compute=compute or (lambda work, *given: work(*given)))
    assert found is not None
    return found


def test_each_passage_gets_a_score_of_its_own_whatever_stands_beside_it(models: Path) -> None:
    reranker = made(models, "tiny")
    passages = ["two years warranty", "chair", "\ud800", "", "lamp " * 5_000, "chair lamp", "years"]
    scores = list(reranker.scores("warranty of the lamp", passages))
    assert len(scores) == len(passages)
    assert len({round(score, 6) for score in scores}) > 3
    alone = [reranker.scores("warranty of the lamp", [passage])[0] for passage in passages]
    assert scores == pytest.approx(alone, abs=1e-5)
    assert reranker.scores("lamp", passages) != scores
    assert (reranker.name, list(reranker.scores("q", []))) == ("tiny", [])


def test_a_model_that_takes_too_long_is_given_up_between_batches(models: Path) -> None:
    from kotaemon_node.adapters.reranker.cross_encoder import LocalCrossEncoder

    reranker = made(models, "tiny")
    assert isinstance(reranker, LocalCrossEncoder)
    now_s = 0.0

    def slow_clock() -> float:
        nonlocal now_s
        now_s += RERANK_TIMEOUT_S / 2
        return now_s

    reranker._now_s = slow_clock
    with pytest.raises(RerankerFailed, match="too long"):
        reranker.scores("lamp", ["chair"] * 20)


def test_who_comes_while_many_wait_is_told_at_once(models: Path) -> None:
    refused: list[str] = []

    def never(work: Callable[..., Any], *given: Any) -> Any:
        # While this call waits, another one comes.
        try:
            reranker.scores("lamp", ["chair"])
        except RerankerFailed as error:
            refused.append(str(error))
        return work(*given)

    reranker = made(models, "tiny", compute=never)
    assert len(reranker.scores("lamp", ["chair"])) == 1
    assert refused == ["too many questions wait for the cross-encoder"]
    # All of them are through, and the next is served as the first was.
    assert len(reranker.scores("lamp", ["chair"])) == 1


def test_a_model_that_cannot_score_is_told_at_the_start(models: Path, tmp_path: Path) -> None:
    with pytest.raises(RerankerSetupError, match="tells 3 classes"):
        made(models, "classes")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}", "utf-8")
    with pytest.raises(RerankerSetupError, match="cannot be loaded"):
        made(tmp_path, "broken")
