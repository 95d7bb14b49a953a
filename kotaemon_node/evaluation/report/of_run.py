"""The report of one run."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kotaemon_node.evaluation.report.pages import Page, Plot, Section, Table
from kotaemon_node.evaluation.report.plots import Bar, Line, intervals, lines

_WORST_SHOWN: Final = 10
_TEXT_SHOWN: Final = 120


def page_of(found: Mapping[str, Any]) -> Page:
    """Return the report of a result (``results.results``)."""
    sections = [
        Section("", [_about(found), *found["notes"]]),
        Section("Figures", _figures(found)),
    ]
    if found["recall_curve"]:
        sections.append(Section("Retrieval", [_recall_plot(found)]))
    if found["dont_know"]["unanswerable"]:
        sections.append(Section("Not knowing", _not_knowing(found["dont_know"])))
    worst = _worst(found["questions"])
    if worst:
        sections.append(Section("Questions whose documents were not among the first ten", [worst]))
    return Page(found["experiment"], sections)


def _about(found: Mapping[str, Any]) -> Table:
    data, configuration = found["data"], found["configuration"]
    rows = [
        ("data", f"{data['name']} ({data['digest'][:12]})"),
        ("questions", f"{data['questions']}, of them {data['answerable']} with an answer"),
        ("passages", str(data["passages"])),
        *((name, str(value)) for name, value in configuration.items() if value is not None),
    ]
    return Table(("", ""), rows)


def _figures(found: Mapping[str, Any]) -> list[str | Table | Plot]:
    bars = [Bar(name, it["mean"], it["low"], it["high"]) for name, it in found["metrics"].items()]
    parts: list[str | Table | Plot] = [
        "Means with their 95 % bootstrap intervals; n is how many questions a metric applies to.",
        _table(found["metrics"]),
        Plot("figures", "Figures", intervals("Figures", bars, low=0, high=1)),
    ]
    for language, metrics in found["by_language"].items():
        parts += [f"Questions in {language}:", _table(metrics)]
    return parts


def _table(metrics: Mapping[str, Any]) -> Table:
    return Table(
        ("metric", "mean", "95 %", "n"),
        [
            (name, f"{it['mean']:.3f}", f"{it['low']:.3f} to {it['high']:.3f}", str(it["n"]))
            for name, it in metrics.items()
        ],
    )


def _recall_plot(found: Mapping[str, Any]) -> Plot:
    ks = range(1, len(found["recall_curve"]) + 1)
    line = Line("recall@k", list(zip(ks, found["recall_curve"], strict=True)))
    svg = lines("Recall", [line], x_label="k documents", x_ticks=list(ks), mark=None)
    return Plot("recall", "Recall at k", svg)


def _not_knowing(judged: Mapping[str, Any]) -> list[str | Table | Plot]:
    now, curve = judged["now"], judged["curve"]
    drawn = [
        Line(name.replace("_", " "), [(it["threshold"], it[name]) for it in curve])
        for name in ("false_refusals", "false_answers")
    ]
    svg = lines(
        "Both errors",
        drawn,
        x_label="least evidence for an answer",
        x_ticks=(0, 0.25, 0.5, 0.75, 1, 1.25, 1.5),
        mark=now["threshold"],
    )
    return [
        f"{judged['answerable']} questions have an answer in the documents,"
        f" {judged['unanswerable']} have none. At the product's threshold of {now['threshold']}"
        f" {_percent(now['false_refusals'])} of the first are refused, and"
        f" {_percent(now['false_answers'])} of the others are answered.",
        Plot("dont_know", "Both errors at each threshold", svg),
        Table(
            ("threshold", "false refusals", "false answers"),
            [
                (
                    f"{it['threshold']:.2f}",
                    _three(it["false_refusals"]),
                    _three(it["false_answers"]),
                )
                for it in curve
            ],
        ),
    ]


def _worst(questions: Sequence[Mapping[str, Any]]) -> Table | None:
    lost = [
        it
        for it in questions
        if it["answerable"] and it["gold"] and not set(it["gold"]) & set(it["ranking"])
    ]
    rows = [
        (it["id"], _shortened(it["text"]), _shortened(", ".join(it["gold"])))
        for it in lost[:_WORST_SHOWN]
    ]
    return Table(("id", "question", "gold"), rows) if rows else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _three(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else text[: _TEXT_SHOWN - 1] + "…"
