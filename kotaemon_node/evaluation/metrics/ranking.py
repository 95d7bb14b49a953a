"""How well a ranking finds what is relevant: recall, reciprocal rank, nDCG.

A ranking is names, best first, none twice. ``grades`` gives each relevant name how relevant it is
(1 where a data set only says that it is); names that are not in it are not relevant. The figures
are those of trec_eval, with which a test compares them.
"""

import math
from collections.abc import Mapping, Sequence


def recall(ranking: Sequence[str], grades: Mapping[str, float], *, k: int) -> float:
    """Return |first k and relevant| / |relevant|.

    Source: C. Manning, P. Raghavan, H. Schütze: Introduction to Information Retrieval (2008), 8.3;
    trec_eval's ``recall_k``. Raises ``ValueError`` where nothing is relevant.
    """
    relevant = _relevant(grades)
    return len(relevant.intersection(_first(ranking, k))) / len(relevant)


def hit(ranking: Sequence[str], grades: Mapping[str, float], *, k: int) -> float:
    """Return 1 where any of the first k is relevant, else 0 (trec_eval's ``success_k``)."""
    return float(not _relevant(grades).isdisjoint(_first(ranking, k)))


def reciprocal_rank(
    ranking: Sequence[str], grades: Mapping[str, float], *, k: int | None = None
) -> float:
    """Return 1 / (rank of the first relevant name), 0 where none is among the first k.

    Its mean is MRR. Source: E. Voorhees: The TREC-8 Question Answering Track Report (1999);
    trec_eval's ``recip_rank``.
    """
    relevant = _relevant(grades)
    for rank, name in enumerate(_first(ranking, k), start=1):
        if name in relevant:
            return 1 / rank
    return 0.0


def ndcg(ranking: Sequence[str], grades: Mapping[str, float], *, k: int) -> float:
    """Return DCG of the first k over that of the best ranking there could be.

    DCG = sum over ranks i from 1 to k of grade_i / log2(i + 1). With grades of 0 and 1 this is the
    binary nDCG. Source: K. Järvelin, J. Kekäläinen: Cumulated gain-based evaluation of IR
    techniques (2002), with the grade itself as the gain, as trec_eval's ``ndcg_cut_k``.
    """
    relevant = _relevant(grades)
    gains = [grades[name] if name in relevant else 0.0 for name in _first(ranking, k)]
    ideal = sorted((grades[name] for name in relevant), reverse=True)[:k]
    return _dcg(gains) / _dcg(ideal)


def average_precision(relevances: Sequence[bool], *, relevant: int) -> float:
    """Return the mean, over the relevant places of a list, of the precision up to there.

    AP = (sum over ranks i of precision@i * rel_i) / relevant. Source: Manning et al. (2008), 8.4.
    0 where ``relevant`` is 0.
    """
    found, total = 0, 0.0
    for rank, is_relevant in enumerate(relevances, start=1):
        if is_relevant:
            found += 1
            total += found / rank
    return total / relevant if relevant else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _relevant(grades: Mapping[str, float]) -> set[str]:
    relevant = {name for name, grade in grades.items() if grade > 0}
    if not relevant:
        raise ValueError("nothing is relevant, so a ranking cannot be judged")
    return relevant


def _first(ranking: Sequence[str], k: int | None) -> Sequence[str]:
    first = ranking[:k]
    if len(set(first)) < len(first):
        raise ValueError("a ranking names something twice")
    return first
