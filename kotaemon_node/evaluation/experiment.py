"""An experiment as its YAML file says it, checked before anything is read or built.

The fields stand in tables; every complaint names file, line and field, and all are told at once.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from kotaemon_node.domain import limits
from kotaemon_node.domain.language import Language
from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.names import DEFAULT_METRICS, METRICS_HELP, metric_named
from kotaemon_node.evaluation.sets.adapters import Source
from kotaemon_node.evaluation.yaml_lines import Lined, read_lined

RetrieverType = Literal["dense", "lexical", "hybrid"]
RETRIEVERS: Final = ("dense", "lexical", "hybrid")
EXPANDERS: Final = ("none", "rewrite", "hyde", "multi_hop")
LANGUAGES: Final = ("en", "zh", "en->zh", "zh->en")
EXTRACTIVE: Final = "extractive"


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is to be measured, and how."""

    name: str
    retriever: RetrieverType
    encoder_model: str | None
    """None: that of the settings."""
    expander: str
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


Check = Callable[[Any], str | None]
"""What is wrong with a value; None: nothing."""


@dataclass(frozen=True, slots=True)
class _Field:
    check: Check
    required: bool = False


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be a text"


def _one_of(names: Sequence[str]) -> Check:
    def check(value: Any) -> str | None:
        if isinstance(value, str) and value in names:
            return None
        return f"{value!r} is none of {', '.join(names)}{_nearest(value, names)}"

    return check


def _number(low: float, high: float, *, whole: bool = False) -> Check:
    kind = "whole number" if whole else "number"

    def check(value: Any) -> str | None:
        right = isinstance(value, int) or (not whole and isinstance(value, float))
        if right and not isinstance(value, bool) and low <= value <= high:
            return None
        return f"must be a {kind} from {low:g} to {high:g}, not {value!r}"

    return check


def _metrics(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return f"must be a list of metrics ({', '.join(METRICS_HELP)})"
    for one in value:
        if not isinstance(one, str) or metric_named(one) is None:
            near = _nearest(one, DEFAULT_METRICS)
            return f"{one!r} is no metric; there are {', '.join(METRICS_HELP)}{near}"
    return None


_SECTIONS: Final[Mapping[str, Mapping[str, _Field]]] = {
    "retriever": {"type": _Field(_one_of(RETRIEVERS)), "model": _Field(_text)},
    "query_expander": {"type": _Field(_one_of(EXPANDERS))},
    "generator": {"model": _Field(_text), "temperature": _Field(_number(0, 2))},
    "evaluation": {
        "dataset": _Field(_text, required=True),
        "metrics": _Field(_metrics),
        "language": _Field(_one_of(LANGUAGES)),
        "knowledge": _Field(_text),
        "questions": _Field(_number(1, 1_000_000, whole=True)),
        "left_out": _Field(_number(0, 0.9)),
        "top_k": _Field(_number(1, limits.TOP_K_MAX, whole=True)),
        "seed": _Field(_number(0, 2**32 - 1, whole=True)),
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
    found = _unknown(lined, (), lined.said, _TOP)
    if "experiment" not in lined.said:
        found.append((1, "experiment is missing: the name under which results are told"))
    elif wrong := _text(lined.said["experiment"]):
        found.append((lined.lines["experiment",], f"experiment {wrong}"))
    for name, fields in _SECTIONS.items():
        section = lined.said.get(name)
        line = lined.lines.get((name,), 1)
        if section is None:
            lacking = [key for key, field in fields.items() if field.required]
            found += [(line, f"{name}.{key} is missing") for key in lacking]
        elif not isinstance(section, Mapping):
            found.append((line, f"{name} must be a mapping of {', '.join(fields)}"))
        else:
            found += _unknown(lined, (name,), section, tuple(fields))
            found += _wrong(lined, name, section, fields)
    return found


def _unknown(
    lined: Lined, above: tuple[str, ...], section: Mapping[str, Any], names: Sequence[str]
) -> list[tuple[int, str]]:
    return [
        (
            lined.lines.get((*above, str(key)), 1),
            f"{'.'.join((*above, str(key)))} is unknown; there are {', '.join(names)}"
            f"{_nearest(key, names)}",
        )
        for key in section
        if key not in names
    ]


def _wrong(
    lined: Lined, name: str, section: Mapping[str, Any], fields: Mapping[str, _Field]
) -> list[tuple[int, str]]:
    found = []
    for key, field in fields.items():
        line = lined.lines.get((name, key), lined.lines.get((name,), 1))
        if section.get(key) is None:
            if field.required or key in section:
                found.append((line, f"{name}.{key} is missing"))
        elif problem := field.check(section[key]):
            found.append((line, f"{name}.{key} {problem}"))
    return found


def _nearest(value: Any, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(value).lower(), names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


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
