"""The file of a retrieval augmented generator, checked before anything is read or built.

knowledge: docs                  # a folder or a list of files, relative to this file
index: .index                    # where what is made of them is kept
retriever: {type: hybrid, model: all-MiniLM-L6-v2}
query_expander: {type: rewrite}
generator: {model: qwen2.5-7b, base_url: "http://127.0.0.1:8000/v1", temperature: 0.2}
top_k: 4

All fields may be left out. The file of an experiment is one, too: its name and its evaluation are
not looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.experiments.fields import (
    Check,
    Field,
    number,
    one_of,
    text,
    unknown,
    wrong,
)
from kotaemon_node.adapters.experiments.lined import FileProblem, read_lined
from kotaemon_node.domain import limits
from kotaemon_node.domain.experiment import EXPANDERS, EXTRACTIVE, RETRIEVERS
from kotaemon_node.engine.profile import AnswerProfile

ConfigProblem = FileProblem
"""Names the file, the line and what is wrong there."""

_SECTIONS: Final[Mapping[str, Mapping[str, Field]]] = {
    "retriever": {"type": Field(one_of(RETRIEVERS)), "model": Field(text)},
    "query_expander": {"type": Field(one_of(EXPANDERS)), "model": Field(text)},
    "generator": {
        "model": Field(text),
        "base_url": Field(text),
        "api_key_env": Field(text),
        "temperature": Field(number(0, 2)),
        "seed": Field(number(0, 2**31 - 1, whole=True)),
    },
}


def _paths(value: Any) -> str | None:
    said = value if isinstance(value, list) else [value]
    right = said and all(isinstance(one, str) and one.strip() for one in said)
    return None if right else "must be a folder or a list of files"


_PLAIN: Final[Mapping[str, Check]] = {
    "knowledge": _paths,
    "index": text,
    "models": text,
    "top_k": number(1, limits.TOP_K_MAX, whole=True),
    "evidence_min": number(0, 1),
}
_OTHERS: Final = ("experiment", "evaluation")


@dataclass(frozen=True, slots=True)
class RagConfig:
    """How answers are made, of which documents."""

    knowledge: tuple[Path, ...] = ()
    """Files, and folders that are read whole."""
    index: Path = Path(".kotaemon-index")
    models: Path | None = None
    """Where the weights of encoders lie; None: where ``kotaemon models fetch`` puts them."""
    encoder: str = ""
    """Name of the encoder; "": the product's default."""
    profile: AnswerProfile = AnswerProfile()  # noqa: RUF009 - a frozen value
    model: str = ""
    """Of the language model; ``extractive``: none is asked."""
    base_url: str = ""
    """Of its server; "": that of the environment, if there is one."""
    api_key_env: str = ""
    """Which variable of the environment holds its key."""


def read_config(file: Path) -> RagConfig:
    """Return what a file says. Raises ``ConfigProblem``, which tells all that is wrong."""
    try:
        raw = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigProblem(f"{file} cannot be read: {error}") from error
    return parse_config(raw, file=file)


def parse_config(raw: str, *, file: Path) -> RagConfig:
    """Return what a text says; its paths are relative to that of ``file``."""
    lined = read_lined(raw, name=str(file))
    problems = unknown(lined, (), lined.said, (*_SECTIONS, *_PLAIN, *_OTHERS))
    for name, fields in _SECTIONS.items():
        problems += wrong(lined, (name,), fields)
    for name, check in _PLAIN.items():
        if name in lined.said and (problem := check(lined.said[name])):
            problems.append((lined.lines[name,], f"{name} {problem}"))
    if problems:
        told = (f"{file}:{line}: {problem}" for line, problem in sorted(problems))
        raise ConfigProblem("\n".join(told))
    return _config(lined.said, file.parent)


def _config(said: Mapping[str, Any], folder: Path) -> RagConfig:
    def of(section: str, key: str, default: Any = None) -> Any:
        return (said.get(section) or {}).get(key, default)

    model = of("generator", "model", "")
    sampling = {name: of("generator", name) for name in ("temperature", "seed")}
    models = said.get("models")
    return RagConfig(
        knowledge=tuple(_path(folder, one) for one in _listed(said.get("knowledge"))),
        index=_path(folder, said.get("index", ".kotaemon-index")),
        models=None if models is None else _path(folder, models),
        encoder=of("retriever", "model", ""),
        profile=AnswerProfile(
            retriever=of("retriever", "type", "hybrid"),
            expander=of("query_expander", "type", "rewrite"),
            generator="extractive" if model == EXTRACTIVE else "model",
            top_k=said.get("top_k", limits.TOP_K_DEFAULT),
            evidence_min=float(said.get("evidence_min", limits.EVIDENCE_MIN)),
            sampling={name: value for name, value in sampling.items() if value is not None},
        ),
        model=model,
        base_url=of("generator", "base_url", ""),
        api_key_env=of("generator", "api_key_env", ""),
    )


def _listed(said: Any) -> Sequence[str]:
    if said is None:
        return ()
    return said if isinstance(said, list) else [said]


def _path(folder: Path, said: str) -> Path:
    return folder / Path(said).expanduser()
