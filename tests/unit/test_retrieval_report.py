"""The report on retrieval: averages, what is below the bar, and what the threshold gives away."""

from typing import Any

from load.bench.retrieval_report import report


def one_set(lexical: float, dense: float, hybrid: float) -> dict[str, Any]:
    means = {"lexical": lexical, "dense": dense, "hybrid": hybrid}
    metrics = ("recall@1", "recall@5", "mrr@10", "ndcg@10")
    return {
        "questions": 10,
        "part": {"left_out": 0.75},
        "figures": {
            kind: {metric: {"mean": mean} for metric in metrics} for kind, mean in means.items()
        },
        "hybrid_against": {
            kind: {metric: {"difference": hybrid - means[kind], "p": 0.5} for metric in metrics}
            for kind in ("lexical", "dense")
        },
        "given": {
            "found": {"passages": 4.0, "recall": 0.9, "right": 0.25},
            "given": {"passages": 2.0, "recall": 0.8, "right": 0.5},
        },
    }


def test_averages_and_what_is_below_the_bar_are_told() -> None:
    sets = {"xquad-en": one_set(0.9, 0.5, 0.875), "xquad-zh": one_set(0.5, 0.7, 0.825)}
    text = report(sets, at="abc", where="here")
    assert "| xquad-en | 10 | 0.900 | 0.500 | 0.875 | -0.025 | 0.500 |" in text
    # Against the better leg on average, not the average of the better ones.
    assert "| **average** | | **0.700** | **0.600** | **0.850** | +0.150 | |" in text
    assert "better leg: xquad-en ndcg@10 -0.025, xquad-en recall@5 -0.025." in text
    assert "| **average** | 0.900 | 0.25 | 2.0 | 0.800 | 0.50 |" in text
    assert "| xquad-en | 0.875 / 0.875 / 0.875 | 25% | 0.941 / 0.998 / 0.967 |" in text


def test_a_set_at_the_bar_is_not_below_it() -> None:
    assert "better leg: on no set." in report({"x": one_set(0.5, 0.4, 0.485)}, at="a", where="b")
