"""The figures of intents as Markdown, beside those that others report."""

from collections.abc import Mapping
from typing import Any, Final

# Of the data folder's README: a reference of words alone, and what is published for the full sets.
BESIDE: Final[Mapping[str, tuple[str, str]]] = {
    "banking77": ("0.789", "all-MiniLM-L6-v2, few examples .800 (checked); BERT .937 (recalled)"),
    "clinc150": (
        "0.807",
        "in scope / out of scope: by threshold BERT .962 / .523, MLP .934 / .491; Dialogflow"
        " .917 / .140, SVM .910 / .145 (checked)",
    ),
    "bitext_cs": ("0.943", "-"),
    "natcs_intents": ("-", "-"),
    "multidogo": ("-", "-"),
    "cic_zh": ("0.717", "RoBERTa-3L macro-F1 .728, people accuracy .874 (checked)"),
}
_LABELS: Final = {"5": "5", "10": "10", "all": "all"}


def report(known: Mapping[str, Any]) -> str:
    """Return the report."""
    lines = [
        "# Intents",
        "",
        f"Made by `python -m load.bench.intents` at commit {known['commit']}; {known['machine']}.",
        "Examples are from the tuning halves' training parts, messages from their test parts.",
        "*Accuracy*: the best intent, sure or not. *Taken*: share of the messages with an intent",
        "that pass the product's own bar, rightly and wrongly. *Strangers*: share of the messages",
        "without an intent that are told so; CLINC150 and MultiDoGO bring them, of the other sets",
        "every fifth intent was left out (near strangers, which are harder). Means of three draws",
        "of 5 and 10 examples an intent. BM25: ten nearest neighbours by words, all examples.",
    ]
    for encoder, sets in known["encoders"].items():
        lines += [
            "",
            f"## {encoder}",
            "",
            "| set | examples an intent | intents | accuracy | macro F1 | taken rightly | wrongly"
            " | strangers | AUROC | BM25 |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, by_examples in sets.items():
            lines += [
                _row(name, label, by_examples[key])
                for key, label in _LABELS.items()
                if key in by_examples
            ]
    lines += ["", "## Published, for the full sets", ""]
    lines += [f"- {name}: {told}" for name, (_, told) in BESIDE.items() if told != "-"]
    if "speed" in known:
        it = known["speed"]
        lines += [
            "",
            "## Speed",
            "",
            f"{it['intents']:.0f} intents, {it['examples']:,.0f} examples: learned in"
            f" {it['learning_s']:.1f} s; a message takes {it['message_median_ms']:.2f} ms (median),"
            f" {it['message_p99_ms']:.2f} ms (99 %), besides its vector, which retrieval needs.",
        ]
    return "\n".join(lines) + "\n"


def _row(name: str, label: str, it: Mapping[str, float]) -> str:
    cells = [
        name,
        label,
        f"{it['intents']:.0f}",
        *(f"{it[key]:.3f}" if key in it else "-" for key in _SHOWN),
        BESIDE[name][0] if label == "all" else "",
    ]
    return f"| {' | '.join(cells)} |"


_SHOWN: Final = (
    "accuracy",
    "macro_f1",
    "taken_right",
    "taken_wrong",
    "strangers_recall",
    "auroc",
)
