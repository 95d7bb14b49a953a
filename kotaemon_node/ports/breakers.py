"""Whether something outside that keeps failing is asked at all."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call may be made now."""

    admitted: bool
    open_for_s: float = 0.0
    """For how long nobody is admitted any more; 0: somebody may be trying it just now."""
    probe: bool = False
    """Whether this call is the probe: only then does it matter that an answer begins."""


class Breaker(Protocol):
    """Guards one endpoint for all who share it. Thread safe.

    Closed, it admits everybody. ``BREAKER_FAILURES`` failures in a row open it: nobody is admitted
    for ``BREAKER_OPEN_S``, and for twice as long each further time, up to ``BREAKER_OPEN_S_MAX``.
    Then it admits one caller, the probe, and one more each ``BREAKER_PROBE_S`` until a probe tells
    something: a first sign of an answer closes it, but the next failure opens it again; an answer
    that ended well makes it forget all failures.

    A caller is named by an id of its own, new for each call; it asks, and if it is admitted tells
    how it went. Every method may be repeated with the same caller. A verdict that comes too late,
    of a call that began before the breaker opened, changes nothing. What nobody touches for an
    hour is closed. Each may raise ``StoreUnavailable``.
    """

    def ask(self, caller: str) -> Verdict:
        """Return whether ``caller`` may call the endpoint now."""
        ...

    def answering(self, caller: str) -> None:
        """Say that an answer has begun to come; only that of the probe changes anything."""
        ...

    def succeeded(self, caller: str) -> None:
        """Say that an answer came whole."""
        ...

    def failed(self, caller: str) -> None:
        """Say that the endpoint refused, failed or fell silent."""
        ...

    def gave_up(self, caller: str) -> None:
        """Say that the caller will not learn how it would have gone."""
        ...

    def open_now(self) -> bool:
        """Tell whether it is open or being tried; changes nothing."""
        ...


class Breakers(Protocol):
    """A breaker for each plugin and tool. Thread safe."""

    def of(self, tenant: str, name: str) -> Breaker:
        """Return the breaker of a plugin, or of a tool, shared by all pods."""
        ...
