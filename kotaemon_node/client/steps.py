"""What a call wants done outside: the one language between its logic and those who do it.

A flow is a generator: it yields a step and is sent what came of it. It does no I/O itself, so the
synchronous and the asynchronous client run the very same flows (``driving``).
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kotaemon_node.client.frames import Frame

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the cluster; ``path`` begins with a slash and is quoted already."""

    method: str
    path: str
    json: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    file: tuple[str, bytes] | None = None
    """Name and bytes of a file of a form, with its path in the knowledge base as ``path``."""
    wait_s: float | None = None
    """For how long the answer may say nothing; None: as it is configured."""
    once: bool = False
    """Each arrival counts: it is not sent again where it may have arrived."""
    removes: bool = False
    """What it names is gone afterwards: a 404 behind a try that may have arrived is a success."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send it and read the whole answer: a ``Reply``, or ``Broken``."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Begin a stream: a ``Reply`` (of a refusal with its body), or ``Broken``."""

    request: Request
    silence_s: float


@dataclass(frozen=True, slots=True)
class Read:
    """Read on in the stream that is open: bytes (none: it ended), or ``Broken``."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the stream that is open, if one is."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Give the caller a frame."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or the head of a stream that began."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Broken:
    """Nothing came, or what came broke off; the reason is for people."""

    reason: str
    sent: bool = True
    """Whether the request may have arrived; False: there was no connection to send it over."""


Step = Send | Open | Read | Close | Sleep | Emit
Flow = Generator[Step, Any, T]
