"""The file of a live experiment: two arms, and which share of the sessions the second one gets.

experiment: more-passages
share: 0.5
a: {}
b:
  retriever: {type: hybrid}
  query_expander: {type: rewrite}
  generator: {model: extractive}
  top_k: 8
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.experiments.fields import (
    Complaint,
    Field,
    number,
    one_of,
    text,
    unknown,
    wrong,
)
from kotaemon_node.adapters.experiments.lined import FileProblem, Lined, read_lined
from kotaemon_node.domain import limits
from kotaemon_node.domain.experiment import EXPANDERS, RETRIEVERS, Arm, LiveExperiment

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_ARMS: Final = ("a", "b")
_SECTIONS: Final[Mapping[str, Mapping[str, Field]]] = {
    "retriever": {"type": Field(one_of(RETRIEVERS))},
    "query_expander": {"type": Field(one_of(EXPANDERS))},
    "generator": {
        "model": Field(text),
        "temperature": Field(number(0, 2)),
        "seed": Field(number(0, 2**31 - 1, whole=True)),
    },
}
_TOP_K: Final = number(1, limits.TOP_K_MAX, whole=True)


def read_live(path: Path) -> LiveExperiment:
    """Return the experiment of a file. Raises ``FileProblem``, which tells all that is wrong."""
    try:
        raw = path.read_bytes()[: limits.EXPERIMENT_FILE_BYTES_MAX + 1]
        if len(raw) > limits.EXPERIMENT_FILE_BYTES_MAX:
            raise FileProblem(f"{path} has more than {limits.EXPERIMENT_FILE_BYTES_MAX} bytes")
        said = raw.decode("utf-8")
    except OSError as error:
        raise FileProblem(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileProblem(f"{path} cannot be read: it is not UTF-8") from error
    return parse_live(said, name=str(path))


def parse_live(said: str, *, name: str) -> LiveExperiment:
    """Return the experiment that a text says; ``name`` stands in complaints."""
    lined = read_lined(said, name=name)
    if found := _problems(lined):
        raise FileProblem("\n".join(f"{name}:{line}: {problem}" for line, problem in sorted(found)))
    fields = lined.said
    return LiveExperiment(
        name=fields["experiment"],
        share=float(fields["share"]),
        a=_arm(fields.get("a") or {}),
        b=_arm(fields.get("b") or {}),
    )


def _problems(lined: Lined) -> list[Complaint]:
    top = {"experiment": Field(_name, required=True), "share": Field(number(0, 1), required=True)}
    found = unknown(lined, (), lined.said, (*top, *_ARMS))
    for key, field in top.items():
        if lined.said.get(key) is None:
            found.append((lined.lines.get((key,), 1), f"{key} is missing"))
        elif problem := field.check(lined.said[key]):
            found.append((lined.lines[key,], f"{key} {problem}"))
    for arm in _ARMS:
        found += _wrong_arm(lined, arm)
    return found


def _name(value: Any) -> str | None:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return None
    return "must be a name of 1 to 64 letters, digits, dots, underscores or hyphens"


def _wrong_arm(lined: Lined, arm: str) -> list[Complaint]:
    section = lined.said.get(arm)
    line = lined.lines.get((arm,), 1)
    if section is None:
        return [] if arm in lined.said else [(line, f"{arm} is missing; {{}} is the default arm")]
    if not isinstance(section, Mapping):
        return [(line, f"{arm} must be a mapping of {', '.join(_SECTIONS)}, top_k")]
    found = unknown(lined, (arm,), section, (*_SECTIONS, "top_k"))
    for name, fields in _SECTIONS.items():
        found += wrong(lined, (arm, name), fields)
    if "top_k" in section and (problem := _TOP_K(section["top_k"])):
        found.append((lined.lines[arm, "top_k"], f"{arm}.top_k {problem}"))
    return found


def _arm(said: Mapping[str, Any]) -> Arm:
    def of(section: str, key: str, default: Any = None) -> Any:
        return (said.get(section) or {}).get(key, default)

    return Arm(
        retriever=of("retriever", "type", "hybrid"),
        expander=of("query_expander", "type", "rewrite"),
        model=of("generator", "model", ""),
        temperature=of("generator", "temperature"),
        seed=of("generator", "seed"),
        top_k=said.get("top_k", limits.TOP_K_DEFAULT),
    )
