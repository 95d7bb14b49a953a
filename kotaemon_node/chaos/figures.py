"""Percentiles and histograms of waiting times."""

from collections.abc import Mapping, Sequence

_BINS_MS = (50, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 1500, 2000, 2500, 3000, 4000, 6000)
_BAR_CHARS = 50


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return count, median, 95th percentile and maximum; zeros where there is nothing."""
    ranked = sorted(values)
    if not ranked:
        return {"n": 0, "p50": 0.0, "p95": 0.0, "max": 0.0}

    def at(share: float) -> float:
        return round(ranked[min(len(ranked) - 1, int(len(ranked) * share))], 1)

    return {"n": len(ranked), "p50": at(0.5), "p95": at(0.95), "max": at(1.0)}


def histogram(values: Sequence[float]) -> list[dict[str, float]]:
    """Return bins ``{from, below, n}`` in ms; the last one has no upper end (0)."""
    edges = (0, *_BINS_MS)
    bins: list[dict[str, float]] = [
        {"from": low, "below": high, "n": sum(low <= value < high for value in values)}
        for low, high in zip(edges, _BINS_MS, strict=False)
    ]
    bins.append({"from": edges[-1], "below": 0, "n": sum(v >= edges[-1] for v in values)})
    return bins


def bars(bins: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the bins as lines of text, up to the last that holds something."""
    filled = [place for place, one in enumerate(bins) if one["n"]]
    if not filled:
        return ["nothing"]
    most = max(one["n"] for one in bins)
    return [
        f"{one['from']:>5} - {one['below'] or '':>5} ms {int(one['n']):>4} "
        + "#" * round(_BAR_CHARS * one["n"] / most)
        for one in bins[: filled[-1] + 1]
    ]
