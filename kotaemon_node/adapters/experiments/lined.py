"""YAML with the line of every field, so that a complaint can say where it belongs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str, ...]
"""The keys that lead to a field."""


class FileProblem(ValueError):
    """A file cannot be used as it is; names file, line and field."""


@dataclass(frozen=True, slots=True)
class Lined:
    """What a YAML file says, and on which line each of its fields stands."""

    said: Mapping[str, Any]
    lines: Mapping[Path, int]


def read_lined(text: str, *, name: str) -> Lined:
    """Read a YAML mapping. Raises ``FileProblem``, also for a key that is there twice."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise FileProblem(f"{name}{line}: this is no YAML: {problem}") from error
    if not isinstance(node, yaml.MappingNode):
        raise FileProblem(f"{name}:1: an experiment must be a mapping of fields")
    lines: dict[Path, int] = {}
    _note(node, (), lines, name)
    return Lined(said, lines)


def _note(node: Any, above: Path, lines: dict[Path, int], name: str) -> None:
    for key, value in node.value:
        path = (*above, str(key.value))
        line = key.start_mark.line + 1
        if path in lines:
            raise FileProblem(
                f"{name}:{line}: {'.'.join(path)} is there twice, first on line {lines[path]}"
            )
        lines[path] = line
        if isinstance(value, yaml.MappingNode):
            _note(value, path, lines, name)
