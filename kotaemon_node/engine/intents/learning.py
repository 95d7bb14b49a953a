"""A classifier learned from examples, and how sure it may be: both in closed form, by one rule.

1. A ridge regression for each intent, all at once. What it would say of an example that it had not
   seen follows from the residual and the leverage, without learning anew (leave-one-out).
2. What messages without an intent look like is not known. So a fifth of the intents is left out, in
   turn, and their examples are strangers to the rest: they show how scores of strangers are.
3. From both a logistic regression takes how likely it is that a message is recognised rightly, by
   two figures: the best intent's score, and how close the nearest intent's centre is.
4. The bar lies where ``kept`` of those examples pass that leave-one-out recognises rightly.

Nothing is tuned on what has to be recognised later. Figures: load/results/intents.md.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.engine.intents.features import Features

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]
Numbers = NDArray[np.int64]

_RIDGE: Final = 1.0
"""Rows have a length near 1.6; between 0.3 and 3 leave-one-out hardly changes."""
_FOLDS: Final = 5
INTENTS_MIN: Final = 5
"""With fewer, none can be left out: the weights below and the usual strangers are taken."""
_USUAL: Final = np.array([4.0, 5.5, -4.6])
"""Weights of score, closeness and one, as many intents of ten examples teach them."""
_USUAL_COUNTS: Final = 20.0
"""As many examples as those weights are worth: a few cannot teach much else."""
_STEPS: Final = 30
_CHUNK: Final = 1024


@dataclass(frozen=True, slots=True)
class Classifier:
    """What was learned; values, shared by threads."""

    names: tuple[str, ...]
    weights: Floats
    """(places, intents)."""
    centres: Floats
    """(meaning, intents), of length 1 in each space."""
    trust: Wide
    """(3,): weights of score, closeness and one."""
    bars: tuple[tuple[slice, float], ...]
    """Places of each space, and the logit from which on the best intent of a text there is taken:
    models differ in how close they see strangers."""
    meaning: int

    def said(self, row: Floats, allowed: Sequence[int] | None = None) -> list[tuple[str, float]]:
        """Return names with confidences, best first; from one half on the first one is taken.

        ``allowed``: numbers of the intents that count; None: all.
        """
        scores = (row @ self.weights).astype(np.float64)
        close = (row[: self.meaning] @ self.centres).astype(np.float64)
        numbers = np.arange(len(self.names)) if allowed is None else np.array(allowed, np.int64)
        if not len(numbers):
            return []
        closest = float(close[numbers].max())
        order = numbers[np.argsort(-scores[numbers], kind="stable")][:5]
        logits = scores[order] * self.trust[0] + closest * self.trust[1] + self.trust[2]
        bar = max((it for places, it in self.bars if row[places].any()), default=self.bars[0][1])
        return [
            (self.names[number], float(_sigmoid(logit - bar)))
            for number, logit in zip(order.tolist(), logits.tolist(), strict=True)
        ]


def learned(
    rows: Floats,
    names: Sequence[str],
    features: Features,
    *,
    kept: float,
    strangers: Floats | None = None,
) -> Classifier:
    """Return a classifier of ``rows``, (examples, places), with the intent of each.

    ``kept``: share of the rightly recognised examples that stay recognised, below 1. ``strangers``:
    rows of messages that have none of the intents, for when these are too few to be left out.
    """
    intents = tuple(sorted(set(names)))
    numbers = {name: number for number, name in enumerate(intents)}
    of = np.array([numbers[name] for name in names], np.int64)
    weights, unseen = _ridge(rows, of, len(intents))
    centres = _centres(rows, of, len(intents), features)
    seen = _figures(rows, of, unseen, features)
    known = np.bincount(of, minlength=len(intents))[of] > 1
    right = unseen.argmax(axis=1) == of
    trust = _USUAL
    if len(intents) >= INTENTS_MIN and known.any():
        trust = _trust(seen[known], right[known], _strangers(rows, of, intents, features))
    passing = (seen @ trust)[right & known]
    bar = float(np.quantile(passing, 1.0 - kept)) if len(passing) else 0.0
    made = Classifier(
        intents,
        weights,
        centres,
        trust,
        tuple((places, bar) for places in features.slices),
        features.meaning,
    )
    if len(intents) >= INTENTS_MIN or strangers is None:
        return made
    # Some of them may be just what an intent is for: half of its examples pass all the same.
    most = float(np.median(passing)) if len(passing) else np.inf
    return replace(made, bars=_above(made, strangers, kept=kept, most=most))


def _above(
    made: Classifier, strangers: Floats, *, kept: float, most: float
) -> tuple[tuple[slice, float], ...]:
    """Raise each bar above ``kept`` of the strangers of its space."""
    close = strangers[:, : made.meaning] @ made.centres
    logits = _three((strangers @ made.weights).max(axis=1), close.max(axis=1)) @ made.trust
    bars = []
    for places, bar in made.bars:
        here = logits[strangers[:, places].any(axis=1)]
        above = float(np.quantile(here, kept)) if len(here) else bar
        bars.append((places, max(bar, min(above, most))))
    return tuple(bars)


def _ridge(rows: Floats, of: Numbers, intents: int) -> tuple[Floats, Wide]:
    """Return the weights, and the scores of each row as if it had not been learned."""
    wanted = _wanted(of, intents)
    if len(rows) <= rows.shape[1]:  # fewer rows than places: by the rows' inner products
        inverse = np.linalg.inv(_raised(rows @ rows.T)).astype(np.float32)
        dual = inverse @ wanted
        return rows.T @ dual, (wanted - dual / np.diag(inverse)[:, None]).astype(np.float64)
    inverse = np.linalg.inv(_raised(rows.T @ rows)).astype(np.float32)
    weights: Floats = inverse @ (rows.T @ wanted)
    unseen = np.empty(wanted.shape)
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        leverage = ((rows[part] @ inverse) * rows[part]).sum(axis=1)
        residual = wanted[part] - rows[part] @ weights
        unseen[part] = wanted[part] - residual / np.maximum(1.0 - leverage, 1e-3)[:, None]
    return weights, unseen


def _without(rows: Floats, of: Numbers, intents: int, folds: Numbers) -> Iterator[Floats]:
    """Return the weights of the other intents, without each fold in turn."""
    wanted = _wanted(of, intents)
    by_rows = len(rows) <= rows.shape[1]
    products = rows @ rows.T if by_rows else rows.T @ rows
    for number in range(_FOLDS):
        others, left = folds != number, rows[folds == number]
        columns = np.unique(of[others])
        if by_rows:
            inner = _raised(products[np.ix_(others, others)])
            dual = np.linalg.solve(inner, wanted[others][:, columns])
            yield rows[others].T @ dual
        else:
            # Rows of the fold add nothing to the columns of others, but to the products.
            yield np.linalg.solve(_raised(products - left.T @ left), rows.T @ wanted[:, columns])


def _wanted(of: Numbers, intents: int) -> Floats:
    found = np.zeros((len(of), intents), np.float32)
    found[np.arange(len(of)), of] = 1.0
    return found


def _raised(products: Floats) -> Floats:
    products[np.diag_indices_from(products)] += _RIDGE
    return products


def _sums(rows: Floats, of: Numbers, intents: int, meaning: int) -> Floats:
    found = np.zeros((intents, meaning), np.float32)
    np.add.at(found, of, rows[:, :meaning])
    return found


def _unit(vectors: Floats, features: Features) -> Floats:
    """Give each vector of each space the length 1: a text has vectors in one space mostly."""
    found = np.zeros_like(vectors)
    for places in features.slices:
        part = vectors[:, places]
        length = np.linalg.norm(part, axis=1, keepdims=True)
        found[:, places] = part / np.maximum(length, 1e-9)
    return found


def _centres(rows: Floats, of: Numbers, intents: int, features: Features) -> Floats:
    sums = _sums(rows, of, intents, features.meaning)
    return np.ascontiguousarray(_unit(sums, features).T)


def _figures(rows: Floats, of: Numbers, unseen: Wide, features: Features) -> Wide:
    """Return (rows, 3): score, closeness and one, each row as if it had not been learned."""
    vectors = rows[:, : features.meaning]
    sums = _sums(rows, of, unseen.shape[1], features.meaning)
    close = vectors @ _unit(sums, features).T
    own = _unit(sums[of] - vectors, features)
    close[np.arange(len(rows)), of] = (vectors * own).sum(axis=1)
    return _three(unseen.max(axis=1), close.max(axis=1))


def _three(scores: NDArray[np.floating], close: NDArray[np.floating]) -> Wide:
    return np.stack([scores, close, np.ones(len(scores))], axis=1).astype(np.float64)


def _strangers(rows: Floats, of: Numbers, intents: Sequence[str], features: Features) -> Wide:
    """Return the figures of examples whose intents were not learned."""
    # By name, not by place: an intent more changes the fold of no other.
    order = sorted(range(len(intents)), key=lambda it: zlib.crc32(intents[it].encode()))
    fold = np.empty(len(intents), np.int64)
    fold[order] = np.arange(len(intents)) % _FOLDS
    folds, found = fold[of], []
    for number, weights in enumerate(_without(rows, of, len(intents), folds)):
        inside, left = folds != number, rows[folds == number]
        _, renumbered = np.unique(of[inside], return_inverse=True)
        centres = _centres(rows[inside], renumbered, weights.shape[1], features)
        close = left[:, : features.meaning] @ centres
        found.append(_three((left @ weights).max(axis=1), close.max(axis=1)))
    return np.concatenate(found)


def _trust(seen: Wide, right: NDArray[np.bool_], strangers: Wide) -> Wide:
    """Return the weights of a logistic regression in which both sides count the same."""
    figures = np.concatenate([seen, strangers])
    wanted = np.concatenate([right, np.zeros(len(strangers))]).astype(np.float64)
    counts = np.concatenate(
        [np.full(len(seen), 0.5 / len(seen)), np.full(len(strangers), 0.5 / len(strangers))]
    )
    found, pull = _USUAL.copy(), _USUAL_COUNTS / len(figures) * 1e-2
    for _ in range(_STEPS):
        likely = _sigmoid(figures @ found)
        slope = figures.T @ (counts * (likely - wanted)) + pull * (found - _USUAL)
        bend = (figures * (counts * likely * (1 - likely))[:, None]).T @ figures
        step = np.linalg.solve(bend + (pull + 1e-9) * np.eye(3), slope)
        found = found - np.clip(step, -5.0, 5.0)
        if np.abs(step).max() < 1e-6:
            break
    # More of a score never makes an intent less likely, whatever few examples suggest.
    return np.array([max(found[0], 0.1), max(found[1], 0.0), found[2]])


def _sigmoid(value: Wide | float) -> Wide:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(value, -40.0, 40.0))))
