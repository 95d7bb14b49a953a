"""What is said of one method of one route; ``operations`` has the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route. ``answers`` maps status to the form of its JSON, None: no body."""

    tag: str
    answers: Mapping[int, Any]
    errors: tuple[str, ...] = ()
    """Codes that this route may answer besides those of ``EVERYWHERE``."""
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    """Request headers that it looks at."""
    media: str | None = None
    """Media type of its 200 where that is not JSON, or may be something else, too."""
    json: bool = True
    """Whether its 200 may be JSON."""
    upload: bool | Mapping[str, Any] = False
    """Whether it takes files as a form; the schema of one that is not that of documents."""
    openai: bool = False
    """Whether its errors are told in OpenAI's form."""
