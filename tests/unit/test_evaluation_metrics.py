"""Metrics against examples worked by hand, and against trec_eval and SciPy."""

import math
import random

import numpy as np
import pytest
import pytrec_eval
from scipy import stats

from kotaemon_node.evaluation.comparison import holm
from kotaemon_node.evaluation.metrics import answers, ranking
from kotaemon_node.evaluation.metrics.correlation import kendall, spearman
from kotaemon_node.evaluation.metrics.refusal import Judged, curve, errors_at
from kotaemon_node.evaluation.metrics.significance import bootstrap, randomisation_p

FOUND = ["a", "b", "c", "d"]


def test_rankings_worked_by_hand() -> None:
    gold = {"b": 1.0, "d": 1.0, "z": 1.0}
    assert ranking.recall(FOUND, gold, k=2) == pytest.approx(1 / 3)
    assert ranking.recall(FOUND, gold, k=10) == pytest.approx(2 / 3)
    assert ranking.hit(FOUND, gold, k=1) == 0
    assert ranking.hit(FOUND, gold, k=2) == 1
    assert ranking.reciprocal_rank(FOUND, gold) == 1 / 2
    assert ranking.reciprocal_rank(FOUND, gold, k=1) == 0
    # (1/log2(3) + 1/log2(5)) / (1 + 1/log2(3) + 1/log2(4)) = 1.061606 / 2.130930
    assert ranking.ndcg(FOUND, gold, k=10) == pytest.approx(0.498189, abs=1e-6)


def test_graded_ndcg_worked_by_hand() -> None:
    # DCG = 3 + 2/1.584963 + 0 + 1/2.321928 = 4.692536; ideal = 3 + 2/1.584963 + 1/2 = 4.761860
    graded = {"a": 3.0, "b": 2.0, "d": 1.0}
    assert ranking.ndcg(FOUND, graded, k=10) == pytest.approx(4.692536 / 4.761860, abs=1e-6)
    # Of the first alone the best there could be is the 3 itself.
    assert ranking.ndcg(["b", "a"], graded, k=1) == pytest.approx(2 / 3)


def test_nothing_relevant_or_a_name_twice_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="nothing is relevant"):
        ranking.recall(FOUND, {"a": 0.0}, k=5)
    with pytest.raises(ValueError, match="twice"):
        ranking.ndcg(["a", "a"], {"a": 1.0}, k=5)


def test_rankings_agree_with_trec_eval() -> None:
    chance = random.Random(7)
    names = [f"d{number}" for number in range(40)]
    gold, runs = {}, {}
    for question in map(str, range(200)):
        judged = chance.sample(names, 12)
        gold[question] = {name: chance.randint(0, 3) for name in judged} | {judged[0]: 1}
        runs[question] = chance.sample(names, 30)
    scored = {
        question: {name: float(-rank) for rank, name in enumerate(run)}
        for question, run in runs.items()
    }
    measures = {"recall.5,10", "recip_rank", "ndcg_cut.5,10", "success.1,5"}
    theirs = pytrec_eval.RelevanceEvaluator(gold, measures).evaluate(scored)
    for question, run in runs.items():
        grades = {name: float(grade) for name, grade in gold[question].items()}
        ours = {
            "recall_5": ranking.recall(run, grades, k=5),
            "recall_10": ranking.recall(run, grades, k=10),
            "recip_rank": ranking.reciprocal_rank(run, grades),
            "ndcg_cut_5": ranking.ndcg(run, grades, k=5),
            "ndcg_cut_10": ranking.ndcg(run, grades, k=10),
            "success_1": ranking.hit(run, grades, k=1),
            "success_5": ranking.hit(run, grades, k=5),
        }
        assert ours == pytest.approx({name: theirs[question][name] for name in ours}, abs=1e-9)


def test_context_precision_and_citations_worked_by_hand() -> None:
    # Relevant at ranks 1 and 3: (1/1 + 2/3) / 2
    assert answers.context_precision([True, False, True, False]) == pytest.approx(5 / 6)
    assert answers.context_precision([False, False]) == 0
    assert answers.citation_accuracy(["a", "x"], {"a", "b"}) == 1 / 2
    assert answers.citation_accuracy([], {"a"}) == 0
    assert answers.citation_recall(["a", "x"], {"a", "b"}) == 1 / 2


def test_right_answers_are_found_whatever_their_form() -> None:
    assert answers.answer_contained("They ship within 14 days [1].", ["14 Days"]) == 1
    assert answers.answer_contained("共有７０个议席[1]。", ["70个议席"]) == 1
    assert answers.answer_contained("Nothing [1].", ["1"]) == 0
    # Words of the answer: ship, goods, weekly; of the right one: goods, daily; common: goods.
    assert answers.answer_f1("ship goods weekly [2]", ["goods daily"]) == pytest.approx(
        2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)
    )
    assert answers.answer_f1("x", ["goods"]) == 0


def test_proxies_worked_by_hand() -> None:
    # refunds, take, five, days: two of the four stand in the context.
    assert answers.faithfulness_proxy(
        "Refunds take five days [1].", ["Refunds need ten days.", "Shoes."]
    ) == pytest.approx(2 / 4)
    assert answers.faithfulness_proxy("[1]", ["anything"]) == 1
    # Pairs of 保修两年: 保修, 修两, 两年; the context has 保修 and 两年.
    assert answers.faithfulness_proxy("保修两年", ["保修期为两年"]) == pytest.approx(2 / 3)
    assert answers.answer_relevance_proxy(0.8) == 0.8
    assert answers.answer_relevance_proxy(-0.1) == 0
    assert answers.answer_relevance_proxy(0.8, known=False) == 0


def test_both_errors_of_not_knowing_worked_by_hand() -> None:
    judged = [Judged(it, True) for it in (0.2, 0.6, 0.9)] + [Judged(it, False) for it in (0.1, 0.7)]
    errors = errors_at(judged, 0.5)
    assert (errors.false_refusals, errors.false_answers) == (1 / 3, 1 / 2)
    drawn = curve(judged)
    assert (drawn[0].false_refusals, drawn[0].false_answers) == (0, 1)
    assert (drawn[-1].false_refusals, drawn[-1].false_answers) == (1, 0)
    assert errors_at(judged[:3], 0.5).false_answers is None


def test_significance_worked_by_hand() -> None:
    # Of the 8 patterns of signs two are as far from 0 as all of one sign.
    assert randomisation_p([1.0, 1.0, 1.0], seed=0) == 2 / 8
    assert randomisation_p([1.0, -1.0, 0.0], seed=0) == 1
    assert randomisation_p([], seed=0) == 1
    assert holm({"x": 0.01, "y": 0.04, "z": 0.03}) == pytest.approx(
        {"x": 0.03, "z": 0.06, "y": 0.06}
    )


def test_significance_of_many_pairs_agrees_with_scipy_and_is_seeded() -> None:
    differences = np.random.default_rng(3).normal(0.12, 0.5, size=60).tolist()
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=5
    ).pvalue
    ours = randomisation_p(differences, seed=1)
    assert ours == pytest.approx(theirs, abs=0.02)
    assert ours == randomisation_p(differences, seed=1)


def test_bootstrap_agrees_with_scipy_and_is_seeded() -> None:
    values = np.random.default_rng(4).uniform(size=80).tolist()
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=2).confidence_interval
    ours = bootstrap(values, seed=1)
    assert ours.n == 80
    assert ours.mean == pytest.approx(np.mean(values))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours == bootstrap(values, seed=1)


def test_correlations_agree_with_scipy_with_ties() -> None:
    chance = np.random.default_rng(6)
    one, other = chance.integers(0, 5, size=(2, 60)).tolist()
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert kendall(one, other) == pytest.approx(stats.kendalltau(one, other).statistic)
    assert spearman([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)
    assert kendall([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
    assert math.isnan(spearman([1, 1], [1, 2]))
    assert math.isnan(kendall([1, 1], [1, 2]))
