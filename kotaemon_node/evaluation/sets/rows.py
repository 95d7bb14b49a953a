"""Rows of JSON Lines, read so that whatever is wrong names its file and line."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kotaemon_node.evaluation.errors import ExperimentError


class Row:
    """One line of a file: an object whose fields are looked up by name."""

    def __init__(self, said: Mapping[str, Any], *, where: str) -> None:
        self.said = said
        self.where = where

    def text(self, name: str, *, default: str | None = None) -> str:
        """Return a field that must be a text; missing or null is ``default`` where one is given."""
        found = self.said.get(name)
        if found is None and default is not None:
            return default
        if not isinstance(found, str):
            raise self.wrong(f"{name} must be a text")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a field that is a text or a list of texts; missing or null is none."""
        found = self.said.get(name)
        listed = [found] if isinstance(found, str) else found or []
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise self.wrong(f"{name} must be a list of texts")
        return tuple(listed)

    def grades(self, name: str) -> dict[str, float]:
        """Return gold labels: names, which count 1 each, or an object of name to grade."""
        found = self.said.get(name)
        if not isinstance(found, Mapping):
            return dict.fromkeys(self.texts(name), 1.0)
        try:
            return {str(key): float(grade) for key, grade in found.items() if float(grade) > 0}
        except (TypeError, ValueError):
            raise self.wrong(f"{name} must name documents, or give each a grade") from None

    def turns(self, name: str) -> list[tuple[str, str]]:
        """Return (role, text) of a conversation."""
        found = self.said.get(name) or []
        try:
            return [(str(turn["role"]), str(turn["text"])) for turn in found]
        except (TypeError, KeyError):
            raise self.wrong(f"{name} must be a list of turns with role and text") from None

    def wrong(self, problem: str) -> ExperimentError:
        """Return the error for this row."""
        return ExperimentError(f"{self.where}: {problem}")


def rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file. Raises ``ExperimentError``."""
    # Not ``splitlines``: what only Unicode takes for a line end may stand within a text.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            said = json.loads(line)
        except json.JSONDecodeError as error:
            raise ExperimentError(f"{where}: this is no JSON: {error.msg}") from error
        if not isinstance(said, dict):
            raise ExperimentError(f"{where}: a row must be a JSON object")
        yield Row(said, where=where)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ExperimentError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path} cannot be read: {error}") from error
