"""Options of understanding that have to earn their place: spoken wording, questions of two hops."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.engine.understanding.colloquial import written
from kotaemon_node.evaluation.sets.adapters import Source, load
from kotaemon_node.evaluation.sets.form import DataSet, Question

Results = Callable[..., Mapping[str, Any]]
"""``conversation.Runs.results``."""

SPOKEN: Final[Mapping[str, tuple[str, Language | None]]] = {
    "insuranceqa-en": ("insuranceqa_en_zh/dev/queries.jsonl", "en"),
    "insuranceqa-zh": ("insuranceqa_en_zh/dev/queries.jsonl", "zh"),
    "covid-faq": ("covid_faq/dev/faq.jsonl", None),
    "tidb-faq-zh": ("tidb_faq_zh/dev/faq.jsonl", None),
}
_QUESTIONS_MAX: Final = 150
_SEED: Final = 11
_HOPS_K: Final = (4, 5, 10)

_GREETS: Final = ("hey umm ", "hi there, ", "hello, uh ", "so ", "")
_BEGS: Final = ("can u tell me ", "i was wondering ", "quick question, ", "umm ", "")
_THANKS: Final = (" thanks", " please", "")
_GREETS_ZH: Final = ("亲，请问", "你好，我想问一下", "在吗？麻烦问下，", "嗯，")
_THANKS_ZH: Final = ("，谢谢啦", " 谢谢", "")
_SPOKEN_ZH: Final = (
    ("什么时候", "啥时候"), ("为什么", "为啥"), ("怎么样", "咋样"), ("怎么", "咋"), ("如何", "咋"),
    ("什么", "啥"),
)  # fmt: skip


def spoken(question: Question) -> str:
    """Return the question as somebody in a hurry would type it; made up, always the same."""
    chance = random.Random(f"{_SEED} {question.id}")
    text = question.text
    if language_of(text) == "zh":
        for said, slang in _SPOKEN_ZH:
            text = text.replace(said, slang)
        return chance.choice(_GREETS_ZH) + text + chance.choice(_THANKS_ZH)
    around = chance.choice(_GREETS) + chance.choice(_BEGS)
    return around + text.lower().rstrip("? ") + chance.choice(_THANKS)


def of_spoken(name: str, data: Path, results: Results) -> dict[str, Any]:
    """Return what is found as published, as spoken, and for both as one would write them."""
    path, language = SPOKEN[name]
    found = load(Source(data / path, language=language))
    chance = random.Random(f"{_SEED} {name}")
    asked = [it for it in found.questions if it.gold]
    few = chance.sample(asked, min(_QUESTIONS_MAX, len(asked)))
    found = DataSet(found.name, found.documents, few)
    ways: Mapping[str, Callable[[Question], str]] = {
        "published": lambda one: one.text,
        "published_written": lambda one: written(one.text),
        "spoken": spoken,
        "spoken_written": lambda one: written(spoken(one)),
    }
    found_by = {
        way: results(found, f"{name} {way}", asks=asks)["metrics"] for way, asks in ways.items()
    }
    changed = sum(written(one.text) != one.text for one in few)
    return {
        "questions": len(few),
        "changed": changed,
        **{
            metric: {way: found_by[way][metric]["mean"] for way in ways}
            for metric in ("recall@5", "mrr@10")
        },
    }


def of_hops(data: Path, results: Results) -> dict[str, Any]:
    """Return how often both gold passages are found, with and without splitting."""
    found = load(Source(data / "hotpot_sample/dev/queries.jsonl"))
    runs = {
        expander: results(found, f"hotpot {expander}", expander=expander)
        for expander in ("rewrite", "multi_hop")
    }
    cut = {it["id"] for it in runs["multi_hop"]["questions"] if len(it.get("searched", ())) > 1}
    return {
        "questions": len(found.questions),
        "split": len(cut),
        "all_gold": {
            expander: {str(k): _all_gold(run, k, None) for k in _HOPS_K}
            for expander, run in runs.items()
        },
        "all_gold_of_split": {
            expander: {str(k): _all_gold(run, k, cut) for k in _HOPS_K}
            for expander, run in runs.items()
        },
    }


def _all_gold(run: Mapping[str, Any], k: int, only: set[str] | None) -> float:
    rows = [it for it in run["questions"] if only is None or it["id"] in only]
    whole = [set(it["gold"]) <= set(it["ranking"][:k]) for it in rows]
    return round(sum(whole) / len(whole), 4) if whole else 0.0
