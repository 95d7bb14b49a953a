"""Two runs on the same data: by how much the second is better, and whether that is chance."""

from collections.abc import Mapping, Sequence
from typing import Any

from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.metrics.significance import bootstrap, randomisation_p
from kotaemon_node.evaluation.results import rounded


def compare(before: Mapping[str, Any], after: Mapping[str, Any], *, seed: int) -> dict[str, Any]:
    """Return for each common metric both means, the difference with interval and p.

    Only questions to which a metric applies in both runs count. Raises ``ExperimentError`` for
    runs on other data.
    """
    if before["data"]["digest"] != after["data"]["digest"]:
        raise ExperimentError(
            f"{before['experiment']} and {after['experiment']} were not asked the same questions"
            f" about the same documents: {before['data']['name']}, {after['data']['name']}"
        )
    ours = {it["id"]: it["scores"] for it in before["questions"]}
    theirs = {it["id"]: it["scores"] for it in after["questions"]}
    names = [name for name in before["metrics"] if name in after["metrics"]]
    metrics = {}
    for name in names:
        pairs = [
            (ours[id_][name], theirs[id_][name])
            for id_ in ours
            if name in ours[id_] and name in theirs[id_]
        ]
        if pairs:
            metrics[name] = _compared(pairs, seed=seed)
    for name, adjusted in holm({name: it["p"] for name, it in metrics.items()}).items():
        metrics[name]["p_holm"] = adjusted
    found: dict[str, Any] = rounded(
        {
            "before": before["experiment"],
            "after": after["experiment"],
            "configurations": [before["configuration"], after["configuration"]],
            "data": before["data"]["name"],
            "seed": seed,
            "metrics": metrics,
            "questions": _changed(before, after),
        }
    )
    return found


def _compared(pairs: Sequence[tuple[float, float]], *, seed: int) -> dict[str, Any]:
    differences = [after - before for before, after in pairs]
    interval = bootstrap(differences, seed=seed)
    return {
        "before": sum(before for before, _ in pairs) / len(pairs),
        "after": sum(after for _, after in pairs) / len(pairs),
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "p": randomisation_p(differences, seed=seed),
        "better": sum(it > 0 for it in differences),
        "worse": sum(it < 0 for it in differences),
        "n": len(pairs),
    }


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for being several: S. Holm (1979).

    The i-th smallest of m, counted from 0, becomes the largest of (m - j) * p_j up to it, at most
    1: then the chance of even one false alarm stays below the level chosen.
    """
    found: dict[str, float] = {}
    highest = 0.0
    for place, (name, p) in enumerate(sorted(ps.items(), key=lambda it: (it[1], it[0]))):
        highest = max(highest, min(1.0, (len(ps) - place) * p))
        found[name] = highest
    return found


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the questions with other scores, those that changed most first."""
    theirs = {it["id"]: it for it in after["questions"]}
    rows = []
    for question in before["questions"]:
        other = theirs[question["id"]]["scores"]
        changes = {
            name: other[name] - score
            for name, score in question["scores"].items()
            if name in other and other[name] != score
        }
        if changes:
            rows.append({"id": question["id"], "text": question["text"], "changes": changes})
    return sorted(rows, key=lambda it: (-sum(map(abs, it["changes"].values())), it["id"]))
