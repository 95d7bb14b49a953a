"""How a client behaves: where the cluster is, who asks, how patient it is."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

HEARTBEAT_S: Final = 2.0
"""A turn's stream says something at least so often."""
SILENCE_S: Final = 3 * HEARTBEAT_S + 0.5
"""Three missed heartbeats and half a second on the way: then another pod is asked."""
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 5.0
PAUSE_TOLD_MAX_S: Final = 30.0
"""A server may ask for so long a pause, no longer."""
CALL_S: Final = 30.0
"""So long after its first try, a plain call is tried again no more."""
ASK_S: Final = 70.0
"""``/ask`` answers within a minute, finished or not, and needs its time on the way."""
_DEFAULT_ENDPOINT: Final = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """``timeout`` is in milliseconds: for how long the cluster may say nothing in one try.

    A plain call begins no try later than ``CALL_S`` after its first one. A turn takes as long as
    it takes: its stream says every two seconds that it lives, and is asked for anew after three
    missed signs of life.
    """

    endpoint: str = _DEFAULT_ENDPOINT
    api_key: str = field(default="", repr=False)
    timeout: float = 5000
    retries: int = 10
    """Tries in a row that bring nothing new; then the call fails."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request besides."""
    chance: Callable[[], float] = field(default=random.random, repr=False)
    """A number in [0, 1): pauses of many clients differ."""
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    """Seconds that never go back."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for what cannot be meant."""
        if not self.endpoint.startswith(("http://", "https://")):
            raise ValueError(f"endpoint must be an address like {_DEFAULT_ENDPOINT}")
        if self.timeout <= 0 or self.retries < 0:
            raise ValueError("timeout must be more than 0 ms, retries not less than 0")

    @classmethod
    def of(cls, config: Mapping[str, Any] | None, fields: Mapping[str, Any]) -> Self:
        """Return the configuration that a mapping and keywords give; keywords go first."""
        return cls(**{**(config or {}), **fields})

    @property
    def timeout_s(self) -> float:
        """For how long the cluster may say nothing, in seconds."""
        return self.timeout / 1000

    @property
    def silence_s(self) -> float:
        """For how long a turn's stream may say nothing, in seconds."""
        return SILENCE_S

    def pause_s(self, tries: int, told_s: float | None = None) -> float:
        """Return the pause before the next try, after ``tries`` that brought nothing."""
        if told_s is not None:
            return min(told_s, PAUSE_TOLD_MAX_S) * (1 + self.chance() / 4)
        longest = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** min(tries - 1, 10))
        return longest * (0.5 + self.chance() / 2)

    def all_headers(self) -> Mapping[str, str]:
        """Return the headers that go with every request."""
        key = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {**key, **self.headers}
