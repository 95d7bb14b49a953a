"""The names of metrics: as an experiment asks for them, and as reports show them."""

import re
from typing import Final

_AT_K: Final = re.compile(r"(recall|hit|mrr|ndcg)@([1-9]\d{0,2})")
DEPTH: Final = 30
"""How many passages a ranking is made of; that is also the largest k."""
_PLAIN: Final = {
    "mrr": "mrr@10",
    # Who asks for these gets a proxy, and it says so.
    "faithfulness": "faithfulness_proxy",
    "faithfulness_proxy": "faithfulness_proxy",
    "answer_relevance": "answer_relevance_proxy",
    "answer_relevance_proxy": "answer_relevance_proxy",
    "context_precision": "context_precision",
    "citation_accuracy": "citation_accuracy",
    "citation_recall": "citation_recall",
    "answer_contained": "answer_contained",
    "answer_f1": "answer_f1",
    "dont_know": "dont_know",
}
DEFAULT_METRICS: Final = (
    "recall@1",
    "recall@5",
    "recall@10",
    "mrr@10",
    "ndcg@10",
    "context_precision",
    "faithfulness",
    "answer_relevance",
    "citation_accuracy",
    "citation_recall",
    "answer_contained",
    "answer_f1",
    "dont_know",
)
METRICS_HELP: Final = (
    *("recall@k", "hit@k", "mrr@k", "ndcg@k"),
    *(name for name in _PLAIN if name != "mrr" and not name.endswith("_proxy")),
)


def metric_named(asked: str) -> str | None:
    """Return the name that reports show for what was asked for; None: there is no such metric."""
    name = asked.strip().lower()
    matched = _AT_K.fullmatch(name)
    if matched:
        return name if int(matched[2]) <= DEPTH else None
    return _PLAIN.get(name)


def ranking_metric(name: str) -> tuple[str, int] | None:
    """Return (recall, hit, mrr or ndcg, k); None for a metric that judges no ranking."""
    matched = _AT_K.fullmatch(name)
    return (matched[1], int(matched[2])) if matched else None


def of_answers(name: str) -> bool:
    """Tell whether a metric needs an answer, so that without any none need be made."""
    return ranking_metric(name) is None
