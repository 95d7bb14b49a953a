"""Files in which an operator describes what a pod has beside it: read once, checked whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

_Form = TypeVar("_Form", bound=BaseModel)
_PROBLEMS_TOLD = 3


def read_described(path: Path, form: type[_Form], *, setting: str, bytes_max: int) -> _Form:
    """Return what the YAML or JSON file holds, in its ``form``.

    ``ValueError`` says what is wrong in it, beginning with the ``setting`` that names it, and never
    what a value was: it may be a secret.
    """
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise ValueError(f"{setting} cannot be read: {error}") from error
    if len(content) > bytes_max:
        raise ValueError(f"{setting} is larger than {bytes_max} bytes")
    try:
        return form.model_validate(yaml.safe_load(content))  # JSON is YAML too
    except yaml.YAMLError as error:
        raise ValueError(f"{setting} is neither YAML nor JSON: {error}") from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors()[:_PROBLEMS_TOLD]
        )
        raise ValueError(f"{setting}: {told}") from error


def named_once(names: Sequence[str], *, setting: str, what: str) -> None:
    """Raise ``ValueError`` where two of a file have the same name; ``what`` they are: "tool"."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{setting}: the name {name} is given to more than one {what}")
