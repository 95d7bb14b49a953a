"""An experiment as its YAML file says it, checked before anything is read or built.

The fields stand in tables; every complaint names file, line and field, and all are told at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from kotaemon_node.adapters.experiments.fields import (
    Field,
    nearest,
    number,
    one_of,
    text,
    unknown,
    wrong,
)
from kotaemon_node.domain import limits
from kotaemon_node.domain.experiment import (
    EXPANDERS,
    EXTRACTIVE,
    RETRIEVERS,
    ExpanderType,
    RetrieverType,
)
from kotaemon_node.domain.language import Language
from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.names import DEFAULT_METRICS, METRICS_HELP, metric_named
from kotaemon_node.evaluation.sets.adapters import Source
from kotaemon_node.evaluation.yaml_lines import Lined, read_lined

__all__ = [
    "EXTRACTIVE",
    "RETRIEVERS",
    "Experiment",
    "RetrieverType",
    "parse_experiment",
    "read_experiment",
]

LANGUAGES: Final = ("en", "zh", "en->zh", "zh->en")


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is to be measured, and how."""

    name: str
    retriever: RetrieverType
    encoder_model: str | None
    """None: that of the settings."""
    expander: ExpanderType
    expander_model: str | None
    """Which rewrites and drafts; None: rules alone do."""
    generator: str
    """``extractive``, or the name of a language model."""
    temperature: float | None
    source: Source
    metrics: tuple[str, ...]
    questions_max: int | None
    """Ask a seeded sample of so many questions; None: all."""
    left_out: float
    """Share of the documents that are left out, so that their questions have no answer."""
    top_k: int
    """How many passages an answer is made of."""
    seed: int


def _metrics(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return f"must be a list of metrics ({', '.join(METRICS_HELP)})"
    for one in value:
        if not isinstance(one, str) or metric_named(one) is None:
            near = nearest(one, DEFAULT_METRICS)
            return f"{one!r} is no metric; there are {', '.join(METRICS_HELP)}{near}"
    return None


_SECTIONS: Final[Mapping[str, Mapping[str, Field]]] = {
    "retriever": {"type": Field(one_of(RETRIEVERS)), "model": Field(text)},
    "query_expander": {"type": Field(one_of(EXPANDERS)), "model": Field(text)},
    "generator": {"model": Field(text), "temperature": Field(number(0, 2))},
    "evaluation": {
        "dataset": Field(text, required=True),
        "metrics": Field(_metrics),
        "language": Field(one_of(LANGUAGES)),
        "knowledge": Field(text),
        "questions": Field(number(1, 1_000_000, whole=True)),
        "left_out": Field(number(0, 0.9)),
        "top_k": Field(number(1, limits.TOP_K_MAX, whole=True)),
        "seed": Field(number(0, 2**32 - 1, whole=True)),
    },
}
_TOP: Final = ("experiment", *_SECTIONS)


def read_experiment(path: Path) -> Experiment:
    """Return the experiment of a file. Raises ``ExperimentError``."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ExperimentError(f"{path} cannot be read: {problem}.") from error
    return parse_experiment(text, path=path)


def parse_experiment(text: str, *, path: Path) -> Experiment:
    """Return the experiment that ``text`` says; its paths are relative to that of ``path``."""
    lined = read_lined(text, name=str(path))
    problems = list(_problems(lined))
    if problems:
        told = (f"{path}:{line}: {problem}" for line, problem in sorted(problems))
        raise ExperimentError("\n".join(told))
    return _experiment(lined.said, path.parent)


def _problems(lined: Lined) -> list[tuple[int, str]]:
    """Return (line, complaint) for all that is wrong."""
    found = unknown(lined, (), lined.said, _TOP)
    if "experiment" not in lined.said:
        found.append((1, "experiment is missing: the name under which results are told"))
    elif problem := text(lined.said["experiment"]):
        found.append((lined.lines["experiment",], f"experiment {problem}"))
    for name, fields in _SECTIONS.items():
        found += wrong(lined, (name,), fields)
    return found


def _experiment(said: Mapping[str, Any], folder: Path) -> Experiment:
    def of(section: str, key: str, default: Any = None) -> Any:
        return (said.get(section) or {}).get(key, default)

    language, _, documents_in = (of("evaluation", "language") or "").partition("->")
    knowledge = of("evaluation", "knowledge")
    asked = of("evaluation", "metrics", list(DEFAULT_METRICS))
    return Experiment(
        name=said["experiment"],
        retriever=of("retriever", "type", "hybrid"),
        encoder_model=of("retriever", "model"),
        expander=of("query_expander", "type", "none"),
        expander_model=of("query_expander", "model"),
        generator=of("generator", "model", EXTRACTIVE),
        temperature=of("generator", "temperature"),
        source=Source(
            path=_path(folder, of("evaluation", "dataset")),
            language=cast("Language | None", language or None),
            documents_in=cast("Language | None", documents_in or None),
            knowledge=None if knowledge is None else _path(folder, knowledge),
        ),
        metrics=tuple(dict.fromkeys(name for one in asked if (name := metric_named(one)))),
        questions_max=of("evaluation", "questions"),
        left_out=float(of("evaluation", "left_out", 0.0)),
        top_k=of("evaluation", "top_k", limits.TOP_K_DEFAULT),
        seed=of("evaluation", "seed", 0),
    )


def _path(folder: Path, said: str) -> Path:
    return folder / Path(said).expanduser()
